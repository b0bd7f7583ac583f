"""What a gateway that is configured as before would miss: the variables of its reference."""

from __future__ import annotations

import re

_ROW = re.compile(r"^\| `(GATEWAY_[A-Z0-9_]+)` \|", re.MULTILINE)


def breaks(old: str, new: str) -> list[str]:
    """Defaults may change: what an operator has set, stays set."""
    left = set(_ROW.findall(new))
    return [f"`{name}` is gone" for name in _ROW.findall(old) if name not in left]
