"""One text that comes in pieces, masked as it goes on: the same whatever the pieces are.

Text is held back only to the end of its word, or of a row of digits that may go on. An end that no value can cross is
an edge; what lies between two edges is looked at once, and as soon as the second is there. Where no edge comes within
`LONGEST` characters, half of them are let go at a time: a value of more than the other half may then be missed in its
beginning, and one that is known for a key or an address by its beginning is swallowed to its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol

from nexus_gateway.masking.patterns import Found

LONGEST = 512
"""Characters that are ever held back."""
HALF = LONGEST // 2
"""Characters of a value by which a stream tells it from another."""
_BATCH = 16_384  # characters looked at in one go: the interpreter lets nobody else run while a pattern is at work

_EDGE = re.compile(
    r"""(?P<escape>\\.)
    | (?P<blank>[ \t\u00a0\u202f])
    | (?P<begin>[A-Za-z]{2}[0-9]{2})
    | (?P<edge>[^\w.%+'@:~/=<()\u2010\u2011\\-])""",
    re.VERBOSE | re.DOTALL,
)
"""An escape of JSON or of source text; what a value may go on behind; the beginning of an IBAN; and any character that
is in no value."""
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_HEX = re.compile(r"[0-9A-Fa-f]{0,4}")
_OPEN_NUMBER = re.compile(r"[0-9][ \u00a0\u202f().\u2010\u2011/-]{1,3}\Z")
_GOES_ON = re.compile(r"[0-9 \u00a0\u202f().\u2010\u2011/-]")
_WITHIN_WORD = re.compile(r"[A-Za-z0-9]")
_OPEN_IBAN = re.compile(r"[A-Za-z0-9]++(?:[ \u00a0\u202f-][A-Za-z0-9]++)*[ \u00a0\u202f-]")
_LONGEST_IBAN = 34 + 34  # with a blank behind each character
_BLANKS = " \t\u00a0\u202f"
_BLANKS_IN_BEARER = 8
_BEFORE_CROSSED = frozenset(f"{_BLANKS}0123456789rR().\u2010\u2011/-")
"""What stands before a blank that a value may go on behind, unless that is an IBAN."""
_SWALLOWED = re.compile(r"[\w.%+'@~/=-]*")
"""What a key or an e-mail address may go on with."""


class Finder(Protocol):
    """What looks for values: rules now; whatever else says where they are fits too, but for streams only where no
    value of its own crosses an edge."""

    def may_hold(self, text: str) -> bool:
        """False where `find` finds nothing, for less than it takes to look."""

    def find(self, text: str) -> list[Found]:
        """In the order of the text; none overlap."""


Replace = Callable[[str, str], str]
"""(kind, value) -> what stands in its place."""


def masked(text: str, finder: Finder, replace: Replace) -> str:
    """A text that is whole."""
    return MaskedText(finder, replace).feed(text, last=True) if finder.may_hold(text) else text


def replaced(text: str, found: Iterable[Found], replace: Replace) -> str:
    """`found`: in the order of the text; none overlap."""
    pieces, done = list[str](), 0
    for kind, start, end in found:
        pieces += [text[done:start], replace(kind, text[start:end])]
        done = end
    return "".join(pieces) + text[done:]


class MaskedText:
    def __init__(self, finder: Finder, replace: Replace) -> None:
        self._finder, self._replace = finder, replace
        self._held = ""
        self._done = self._edge = self._seen = 0
        """In what is held: what has gone out; the last edge; how far edges have been looked for."""
        self._begin = -1
        """Where the last word stands that an IBAN may begin with; -1 where there is none."""
        self._swallows = False

    def feed(self, text: str, *, last: bool = False) -> str:
        """What can be told by now; everything with the `last` piece."""
        self._held += text
        out = list[str]()
        while self._done < len(self._held):
            if self._swallows and not self._swallow():
                break
            if self._next_edges(last):
                out.append(self._until(self._edge))
            elif len(self._held) - self._edge > LONGEST:
                out.append(self._half())
            else:
                break
        out.append(self._until(len(self._held) if last else self._edge))
        self._forget()
        return "".join(out)

    def _next_edges(self, last: bool) -> bool:
        """Moves on to the last edge that is known. True where that is a batch, and there may be more."""
        while self._edge - self._done < _BATCH:
            limit = self._edge + LONGEST
            edge = _EDGE.search(self._held, self._seen, limit + 1)
            if edge is None:
                self._seen = max(self._seen, min(limit, len(self._held)) - 3)  # a begin of four may have begun
                return False
            end = self._end_of(edge, last)
            if end is None or end > limit:
                self._seen = edge.start()
                return False
            self._seen = end
            if edge.lastgroup == "begin":
                start = edge.start()
                if start == self._edge or not _WITHIN_WORD.match(self._held, start - 1):
                    self._begin = start
            elif edge.lastgroup != "blank" or not self._crossed(end):
                self._edge = end
        return True

    def _end_of(self, edge: re.Match[str], last: bool) -> int | None:
        """None where what follows must be known first."""
        end, size = edge.end(), len(self._held)
        if (
            edge.lastgroup == "blank"
            and end == size
            and not last
            and _OPEN_NUMBER.search(self._held[max(self._edge, end - 4) : end])
        ):
            return None
        if edge[0] == "\\u":
            digits = _HEX.match(self._held, end)
            assert digits is not None  # noqa: S101 - narrows for mypy; it matches nothing too
            if len(digits[0]) == 4:
                return digits.end()
            return None if digits.end() == size and not last else end
        return end

    def _crossed(self, end: int) -> bool:
        """Whether a value may go on behind a blank that ends there."""
        text, edge = self._held, self._edge
        if self._begin < edge and text[end - 2 : end - 1] not in _BEFORE_CROSSED:
            return False
        if _OPEN_NUMBER.search(text[max(edge, end - 4) : end]) and _GOES_ON.match(text, end):
            return True
        behind = text[max(edge, end - _BLANKS_IN_BEARER - len("bearer")) : end]
        word = behind.rstrip(_BLANKS)
        if len(behind) - len(word) <= _BLANKS_IN_BEARER and word[-len("bearer") :].lower() == "bearer":
            return True
        if self._begin < self._edge or end - self._begin > _LONGEST_IBAN:
            return False
        return _OPEN_IBAN.fullmatch(self._held, self._begin, end) is not None

    def _half(self) -> str:
        """Of a run without an edge: half of it, and a value that has begun in it."""
        out = self._until(self._edge)
        limit = self._edge + LONGEST
        window = self._held[self._edge : limit]
        values = [one for one in self._found(window) if one.start < HALF]
        cut = max(HALF, values[-1].end) if values else HALF
        if values and values[-1].end == LONGEST:  # its end is not known
            end = self._rest_of(limit)
            values[-1] = values[-1]._replace(end=end - self._edge)
            self._swallows = end == len(self._held)
            window, cut = self._held[self._edge : end], end - self._edge
        out += replaced(window[:cut], values, self._replace)
        self._move_to(self._edge + cut)
        return out

    def _swallow(self) -> bool:
        """False where everything that is held belongs to the value."""
        self._move_to(self._rest_of(self._done))
        self._swallows = self._done == len(self._held)
        return not self._swallows

    def _rest_of(self, place: int) -> int:
        rest = _SWALLOWED.match(self._held, place)
        return rest.end() if rest else place

    def _until(self, end: int) -> str:
        text = self._held[self._done : end]
        self._done = self._edge = end
        self._seen = max(self._seen, end)
        return replaced(text, self._found(text), self._replace) if text else ""

    def _move_to(self, place: int) -> None:
        self._done = self._edge = self._seen = place

    def _found(self, text: str) -> list[Found]:
        """An escape is no part of a value: what stands for one character is taken for none."""
        if not self._finder.may_hold(text):
            return []
        return self._finder.find(_ESCAPE.sub(lambda one: "\0" * len(one[0]), text) if "\\" in text else text)

    def _forget(self) -> None:
        gone = self._done
        self._held = self._held[gone:]
        self._begin = self._begin - gone if self._begin >= gone else -1
        self._done, self._edge, self._seen = 0, self._edge - gone, self._seen - gone
