"""A stream of events with the texts of its answer masked, whatever pieces they come in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from nexus_gateway.exchange import Waiter
from nexus_gateway.masking.aside import LONG, aside
from nexus_gateway.masking.deltas import Delta, Document, Key, deltas, ended
from nexus_gateway.masking.documents import rewritten_value
from nexus_gateway.masking.plan import Masking
from nexus_gateway.masking.recognized import RecognizedText
from nexus_gateway.masking.source_text import SourceText
from nexus_gateway.masking.text import MaskedText
from nexus_gateway.stream import BadStream, EventReader, field_of
from nexus_gateway.surfaces import Api, Surface
from nexus_gateway.upstreams.changed_answer import Told

_DONE = b"[DONE]"


@dataclass(slots=True)
class _Text:
    """One that is going on."""

    masked: MaskedText | RecognizedText
    source: SourceText | None
    last: Delta

    def feed(self, text: str, *, last: bool) -> str:
        out = self.masked.feed(text, last=last)
        return out if self.source is None else self.source.feed(out)


class MaskedEvents:
    """Bytes in, bytes out. What has been held back of a text goes out in an event of its own before the one that ends
    it; of a stream that breaks off it never does."""

    def __init__(self, masking: Masking, surface: Surface) -> None:
        self._masking, self._api, self._reader = masking, surface.api, _Events(surface)
        self._texts: dict[Key, _Text] = {}
        self._added = 0
        """Events of our own, by which later ones are numbered higher."""

    def take(self, data: bytes) -> Waiter[Told]:
        """Fails with BadStream."""
        size = LONG if self._masking.plan.recognized_answers else self._reader.held + len(data)
        return aside(size, lambda: self._taken(data))

    def _taken(self, data: bytes) -> Told:
        if not data:
            return b""
        if self._reader.done:
            raise BadStream("it goes on after its end mark")
        self._reader.feed(data)
        come, self._reader.come = self._reader.come, []
        return b"".join(map(self._masked, come)) or None

    def _masked(self, event: bytes) -> bytes:
        data = field_of(event, b"data")
        if not data:
            return event
        if data == _DONE:
            return b"".join((*map(_written, map(self._tail, list(self._texts))), event))
        document = EventReader.document(data)
        pieces = _taken_out(self._api, document)
        new = rewritten_value(document, self._masking.in_answer, gone=self._masking.spelt_out)
        placed = deltas(self._api, new)
        over = ended(self._api, new, {*self._texts, *(delta.key for delta in placed)})
        before = [self._tail(key) for key in self._ended_before(placed, over)]
        for place, (delta, piece) in enumerate(zip(placed, pieces, strict=True)):
            last = delta.key in over or _new_text(placed[place + 1 :], delta)
            delta.holder[delta.field] = self._fed(delta, piece, last=last)
        for key in over:
            self._texts.pop(key, None)
        numbered = self._numbered(before, new)
        same = new is document and not numbered and pieces == [delta.text for delta in placed]
        return b"".join((*map(_written, before), event if same else _written(new, field_of(event, b"event"))))

    def _ended_before(self, placed: list[Delta], over: Iterable[Key]) -> list[Key]:
        """Texts that this event adds nothing to, and that it ends or follows."""
        here = {delta.key for delta in placed}
        going = ((delta, self._texts[delta.key].last) for delta in placed if delta.key in self._texts)
        replaced = [delta.key for delta, last in going if _new_text([delta], last)]
        return [*dict.fromkeys(replaced), *(key for key in over if key in self._texts and key not in here)]

    def _tail(self, key: Key) -> Document:
        text = self._texts.pop(key)
        return text.last.alone(text.feed("", last=True))

    def _fed(self, delta: Delta, piece: str, *, last: bool) -> str:
        """What goes out of a piece."""
        text = self._texts.get(delta.key)
        if text is None:
            masked = self._masking.text_of_answer()
            text = self._texts[delta.key] = _Text(masked, SourceText() if delta.source else None, delta)
        elif delta.id or not text.last.id:
            text.last = delta
        out = text.feed(piece, last=last)
        if last:
            del self._texts[delta.key]
        return out

    def _numbered(self, before: list[Document], new: Document) -> bool:
        """Of the API that numbers its events. True where this event has got another number."""
        number = new.get("sequence_number")
        if type(number) is not int:
            return False
        for document in (*before, new):
            document["sequence_number"] = number + self._added
            self._added += document is not new
        return self._added > 0


class _Events(EventReader):
    def __init__(self, surface: Surface) -> None:
        super().__init__(surface.ends)
        self.come: list[bytes] = []

    def passed(self, event: bytes) -> None:
        self.come.append(event)


def _taken_out(api: Api, document: Document) -> list[str]:
    """The pieces of texts that go on, with nothing left in their places."""
    found = deltas(api, document)
    pieces = [delta.text for delta in found]
    for delta in found:
        delta.holder[delta.field] = ""
    return pieces


def _new_text(others: Iterable[Delta], delta: Delta) -> bool:
    """Whether one of the others begins another text in its place."""
    return any(one.key == delta.key and one.id not in ("", delta.id) for one in others)


def _written(document: Document, name: bytes = b"") -> bytes:
    kind = document.get("type")
    name = name or (kind.encode() if isinstance(kind, str) else b"")
    return (b"event: %s\n" % name if name else b"") + b"data: " + json.dumps(document).encode() + b"\n\n"
