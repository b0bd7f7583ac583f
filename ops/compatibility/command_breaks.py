"""Which words and options of the command line are gone, by its reference page."""

from __future__ import annotations

import re

COMMAND = re.compile(r"^### (?P<words>.+)$", re.MULTILINE)
OPTION = re.compile(r"^\| `(?P<names>-[^`]*)` \|.*\|\s*(?P<default>.*?)\s*\|$", re.MULTILINE)
NAME = re.compile(r"--?[a-z][a-z-]*")


def breaks(old: str, new: str) -> list[str]:
    """One line for each word or option that is gone, and for each that is asked for now."""
    before, after = surface(old), surface(new)
    gone = [f"`{words}` is gone" for words in before if words not in after]
    for words in before.keys() & after.keys():
        gone += [f"`{words} {name}` is gone" for name in before[words] if name not in after[words]]
        gone += [
            f"`{words} {name}` is needed now"
            for name, needed in after[words].items()
            if needed and not before[words].get(name, False)
        ]
    return sorted(gone)


def surface(page: str) -> dict[str, dict[str, bool]]:
    """Words -> option -> whether it must be given."""
    parts = COMMAND.split(page)[1:]
    return {
        words: {
            name: row["default"] == "required" for row in OPTION.finditer(text) for name in NAME.findall(row["names"])
        }
        for words, text in zip(parts[::2], parts[1::2], strict=True)
    }
