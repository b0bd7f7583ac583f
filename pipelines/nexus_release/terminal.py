"""Text as a terminal may have it: what a person, a file or a server wrote must not move the cursor or hide a word."""

from __future__ import annotations


def plain(text: str) -> str:
    """Escapes, as Python would, what is not printable: control and format characters, bidi overrides, surrogates.
    Newlines stay."""
    return "".join(letter if letter == "\n" or letter.isprintable() else _escaped(letter) for letter in text)


def plain_line(text: str) -> str:
    """The same on one line."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
