"""Turns a run's `demo.md` into a page that is the same for everybody; `make docs-demo` runs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_IDS = re.compile(r"(?<![\w.])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{12}|[0-9a-f]{8})(?!\w)")
_TIMES = re.compile(r"\b\d{4}-\d\d-\d\dT[\d:]+(?:Z|[+-]\d\d:\d\d)")
_SECONDS = re.compile(r"\b\d+\.\d+ s\b")
_PORTS = re.compile(r"127\.0\.0\.1:\d+")

_HEAD = """<!-- Made by `make docs-demo` from a run of `make demo`; identifiers, ports and times are put in words. -->

"""


def normalise(text: str) -> str:
    """The same id becomes the same word everywhere, numbered in the order in which ids first appear."""
    seen: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        short = match.group()[:8]
        return seen.setdefault(short, f"‹id {len(seen) + 1}›")

    timeless = _TIMES.sub("‹time›", _SECONDS.sub("‹time›", text))
    return _PORTS.sub("127.0.0.1:‹port›", _IDS.sub(name, timeless))


def main(source: Path, target: Path) -> None:
    target.write_text(_HEAD + normalise(source.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
