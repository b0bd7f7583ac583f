"""Amounts as Kubernetes reads them, and the one way in which it writes each."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_DECIMAL = {"m": Decimal("0.001"), "": Decimal(1), **{sign: Decimal(1000) ** n for n, sign in enumerate("kMGTPE", 1)}}
_BINARY = {f"{sign}i": Decimal(1024) ** n for n, sign in enumerate("KMGTPE", 1)}


def amount(text: str | int) -> Decimal | None:
    """None for what is no quantity, or one in the form of a power (`1e3`)."""
    found = _NUMBER.fullmatch(str(text))
    return None if found is None else Decimal(found[1]) * (_DECIMAL | _BINARY)[found[2] or ""]


def canonical(text: str | int) -> str | None:
    """As an API server would write it; None for what is no quantity."""
    value, found = amount(text), _NUMBER.fullmatch(str(text))
    if value is None or found is None:
        return None
    signs = _BINARY if (found[2] or "") in _BINARY else {key: one for key, one in _DECIMAL.items() if key != "m"}
    for sign, size in sorted(signs.items(), key=lambda pair: -pair[1]):
        if value and value % size == 0:
            return f"{int(value / size)}{sign}"
    return f"{int(value * 1000)}m" if value * 1000 == int(value * 1000) else None
