"""What the library finds in a text that comes in pieces: the same whatever the pieces are.

Its values may have blanks within, so a text is held back to the end of its line; of a line that is longer than
`WINDOW`, to a blank that no value crosses. Nothing is looked for in what is found by our own patterns, or is a
placeholder already.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from nexus_gateway.masking import recognizers
from nexus_gateway.masking.patterns import Found
from nexus_gateway.masking.recognizers import OVERLAP, WINDOW
from nexus_gateway.masking.rules import PLACEHOLDER, Rules
from nexus_gateway.masking.text import MaskedText, Replace, replaced

_CUT = WINDOW - OVERLAP
"""A value that begins before it has ended within the window."""


class RecognizedText:
    """Before another look: what is not found here goes on to `then`."""

    def __init__(self, entities: Collection[str], kinds: Collection[str], hide: Replace, then: MaskedText) -> None:
        """`kinds` are looked for by `then`, and left to it."""
        self._entities, self._rules, self._hide, self._then = entities, Rules(kinds), hide, then
        self._held = ""

    def feed(self, text: str, *, last: bool = False) -> str:
        """What can be told by now; everything with the `last` piece."""
        self._held += text
        out, done = list[str](), 0
        while done < len(self._held):
            piece = self._held[done : done + WINDOW]
            line = piece.find("\n") + 1
            if not line and len(piece) < WINDOW and not last:
                break
            piece = piece[:line] if line else piece
            found = self._find(piece)
            end = len(piece) if line or len(piece) < WINDOW else _end_of(piece, found)
            out.append(replaced(piece[:end], (one for one in found if one.end <= end), self._hide))
            done += end
        self._held = self._held[done:]
        return self._then.feed("".join(out), last=last)

    def _find(self, text: str) -> list[Found]:
        left = [*((one.start, one.end) for one in self._rules.find(text)), *_spans_of_placeholders(text)]
        found, done = list[Found](), 0
        for start, end in chain(sorted(left), [(len(text), len(text))]):
            between = recognizers.find(text[done:start], self._entities)
            found += (one._replace(start=one.start + done, end=one.end + done) for one in between)
            done = max(done, end)
        return found


def _spans_of_placeholders(text: str) -> list[tuple[int, int]]:
    return [one.span() for one in PLACEHOLDER.finditer(text)] if "<" in text else []


def _end_of(window: str, found: list[Found]) -> int:
    """Behind the last blank that no value crosses; of a window without one, behind the value at its cut."""
    end = next((one.end for one in found if one.start < _CUT < one.end), _CUT)
    for place in range(_CUT - 1, 0, -1):
        if window[place] in " \t" and not any(one.start <= place < one.end for one in found):
            return place + 1
    return end
