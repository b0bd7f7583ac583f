"""Text of others in Markdown: names are people's, and must not become markup."""

from __future__ import annotations

_MARKS = frozenset("\\`*_[]<>|#!@~")


def plain(text: str) -> str:
    return "".join(f"\\{letter}" if letter in _MARKS else letter for letter in text)
