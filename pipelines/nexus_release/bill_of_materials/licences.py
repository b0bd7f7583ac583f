"""What a checkpoint's own files say of its licence. Nothing is guessed: no word of a text is taken for a licence."""

from __future__ import annotations

import json
from pathlib import Path

from nexus_release.bill_of_materials.document import Part

_IDENTIFIERS = {
    name.lower(): name
    for name in (
        *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0", "GPL-3.0-only", "AGPL-3.0-only"),
        *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "OpenRAIL++-M"),
    )
}
"""SPDX identifiers that hubs write in lower case; any other name is kept as it is written."""
_TEXTS = ("LICENSE", "LICENCE", "COPYING", "NOTICE")
_LONGEST = 200  # characters of a name


def licences(checkpoint: Path) -> list[Part]:
    """From `license` in `config.json`, and by the name of each licence file that lies beside it."""
    texts: list[Part] = [{"license": {"name": name}} for name in licence_files(checkpoint)]
    return [named(text) for text in _stated(checkpoint / "config.json")] + texts


def licence_files(checkpoint: Path) -> list[str]:
    """`LICENSE.txt`, `NOTICE.txt` and the like, sorted."""
    return sorted(path.name for path in checkpoint.iterdir() if path.stem.upper() in _TEXTS and path.is_file())


def _stated(config: Path) -> list[str]:
    """Raises nothing: a checkpoint without a readable configuration states no licence."""
    try:
        stated = json.loads(config.read_bytes()).get("license")
    except (OSError, ValueError, AttributeError):
        return []
    texts = stated if isinstance(stated, list) else [stated]
    return [text for text in texts if isinstance(text, str) and text.isprintable() and 0 < len(text) <= _LONGEST]


def named(text: str) -> Part:
    """By its SPDX identifier where it is a known one, else as it is written."""
    known = _IDENTIFIERS.get(text.lower())
    return {"license": {"id": known} if known else {"name": text}}
