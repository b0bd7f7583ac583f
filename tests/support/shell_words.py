"""The commands of a block of shell, each as its words: what a page tells a reader to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_DOCUMENT = re.compile(r"<<'?(\w+)'?(.*?)\n.*?^\1$", re.DOTALL | re.MULTILINE)
_INNER = re.compile(r"\$\(([^()]*)\)")
_KEYWORDS = {"do", "then", "else", "until", "while", "if", "!", "{"}
"""What a command may stand behind. What stands behind `for`, `done` and the like is none."""
_NO_COMMANDS = {"for", "done", "fi", "}"}
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
_NUMBER = re.compile(r"(?<=\s)\d(?=[<>])")
_ENDS = re.compile(r"[;&|()]+")
_REDIRECTS = re.compile(r"[<>&]*[<>][<>&|]*")


def commands(block: str) -> Iterator[list[str]]:
    """Words without variables before them and redirections behind them; quotes are resolved, nothing is put in.

    Raises ValueError where a quotation is not closed.
    """
    for line in logical_lines(_DOCUMENT.sub(r"\2", block)):
        for words in _split(line):
            yield words
            for word in words:
                for inner in _INNER.findall(word):
                    yield from commands(inner)


def logical_lines(text: str) -> Iterator[str]:
    """Lines joined where the shell would go on reading."""
    held = ""
    for line in text.replace("\\\n", " ").splitlines():
        held += line
        try:
            shlex.split(held, comments=True)
        except ValueError:
            held += "\n"
            continue
        yield held
        held = ""
    if held:
        raise ValueError(f"a quotation is not closed: {held}")


def _split(line: str) -> Iterator[list[str]]:
    reader = shlex.shlex(_NUMBER.sub("", line), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    target = False
    for word in reader:
        if target:
            target = False
        elif _REDIRECTS.fullmatch(word):
            target = True
        elif _ENDS.fullmatch(word):
            yield from _bare(words)
            words = []
        else:
            words.append(word)
    yield from _bare(words)


def _bare(words: list[str]) -> Iterator[list[str]]:
    while words and (words[0] in _KEYWORDS or _ASSIGNED.match(words[0])):
        words = words[1:]
    if words and words[0] not in _NO_COMMANDS:
        yield words
