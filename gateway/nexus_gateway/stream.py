"""Follows a stream of server-sent events as its bytes go by: where events end, and what a few of them say."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

LARGEST_EVENT = 1 << 20
"""Bytes; an event without an end would otherwise be kept without end."""

_DONE = b"[DONE]"
_USAGE = b'"usage"'
_FAILED = ("error", "response.failed")
_COUNTS = {"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"}
_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
"""Two ends of line, which end an event. Atomic: one CRLF is one end and not two."""
_LAST = 3  # events: the one with the reason, the one with usage, and one that only ends the stream
_BORDER = 3  # bytes before new ones in which such an end may have begun


NOTHING: Mapping[str, Any] = {}
"""One for all streams."""


class BadStream(Exception):
    """Bytes that are no stream of the API. The reason may be told to clients."""


class Usage(NamedTuple):
    """Tokens by an engine's account."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    """Of the prompt, that the engine had kept from before."""


class EventReader:
    """Told of every byte that is relayed; parses the first event, those with usage, and knows the last.

    Bytes are passed on as they came. Only a little is kept: the event that is not complete yet.
    """

    __slots__ = ("_ends", "_pieces", "done", "events", "first", "held", "keeps", "last", "marks", "usage")

    def __init__(self, ends: Collection[str] = (), *, keeps: bool = True) -> None:
        """`ends`: the types of events of which one ends the stream; without any, `[DONE]` does. `keeps` the newest
        events."""
        self._ends, self.marks = marks_of(tuple(ends))
        """What is looked for in each event."""
        self.keeps = keeps
        self._pieces: list[bytes] = []
        self.held = 0
        """Bytes in `_pieces`: what has come of the event that is not complete."""
        self.events = 0
        self.done = False
        """True once its end mark has come: nothing after it belongs to the answer."""
        self.usage: Usage | None = None
        self.first: Mapping[str, Any] = NOTHING
        """What the first event says; empty where that is no document."""
        self.last: list[bytes] = []
        """What the newest events say, end marks apart, some with what stands around it: why the answer ended is in one
        of them."""

    def feed(self, data: bytes) -> int:
        """How many bytes of `data` belong to the answer. Raises BadStream for what must not be relayed.

        Each byte is looked at a bounded number of times, however the other side cuts its stream up.
        """
        if not self.held and not self.done and _is_one(data):  # as engines nearly always send them
            self._event(data)
            self.passed(data)
            return len(data)
        border = b"".join(self._pieces[-_BORDER:])[-_BORDER:]
        if not _END.search(border + data):
            self._hold(data)
            return len(data)
        text, before = b"".join((*self._pieces, data)), self.held
        place, search = 0, max(0, before - _BORDER)
        while not self.done and (end := _END.search(text, search)):
            self._event(text[place : end.end()])
            self.passed(text[place : end.end()])
            place = search = end.end()
        self._pieces, self.held = [], 0
        if self.done:
            return place - before
        self._hold(text[place:])
        return len(data)

    def plain(self, event: bytes) -> bool:
        """Reads one event that its caller knows to be one line with an object, and not the first, in whatever frame.
        False where it says something that is looked for, or does not begin an event: then it is not read."""
        if self.held or self.done:
            return False
        for mark in self.marks:
            if event.find(mark) >= 0 and (mark is not _USAGE or not _tells_none(event)):
                return False  # `in` takes twice as long as `find`
        self.events += 1
        if self.keeps:
            self._keep(event)
        return True

    def go_on_from(self, events: int, usage: Usage | None, *, done: bool) -> None:
        """Events that somebody else has read."""
        self.events, self.usage, self.done = events, usage, done

    def passed_by(self, events: int, last: list[bytes]) -> None:
        """So many that `plain` would have read; `last` of them, where they are kept."""
        self.events += events
        for event in last:
            self._keep(event)

    def _keep(self, event: bytes) -> None:
        self.last.append(event)
        if len(self.last) > _LAST:
            del self.last[0]

    def _hold(self, data: bytes) -> None:
        self.held += len(data)
        if self.held > LARGEST_EVENT:
            raise BadStream("an event of its stream is too large")
        if data:
            self._pieces.append(data)

    def _event(self, event: bytes) -> None:
        data = field_of(event, b"data")
        if not data:
            return  # a comment, or a field that we do not know
        self.events += 1
        if data == _DONE and not self._ends:
            self.done = True
            self.heard(data)
            return
        if self.keeps:
            self._keep(data)
        if self.events == 1 or self._marked(data):
            self._read(_json(data))
        self.heard(data)

    def _marked(self, data: bytes) -> bool:
        for mark in self.marks:  # noqa: SIM110 - a generator, as `any` takes, costs more than looking
            if data.find(mark) >= 0 and not (mark is _USAGE and _tells_none(data)):
                return True
        return False

    def passed(self, event: bytes) -> None:
        """Of every event as it came, comments too, after it has been looked at; for who sends something else on."""

    def heard(self, data: bytes) -> None:
        """Of every event with data, after it has been looked at; for who wants more of it."""

    @staticmethod
    def document(data: bytes) -> dict[str, Any]:
        """Of an event. Raises BadStream."""
        document = _json(data)
        if not isinstance(document, dict):
            raise BadStream("its stream holds an event that is no object")
        return document

    def _read(self, document: Any) -> None:
        if not isinstance(document, dict) or document.get("error") or document.get("type") in _FAILED:
            raise BadStream("it reported an error in its stream")
        if self.events == 1:
            self.first = document
        if (usage := usage_of(document)) is not None:
            before = self.usage or Usage()  # Anthropic's tells the prompt at its beginning and the answer at its end
            self.usage = Usage(*map(max, before, usage))
        self.done = document.get("type") in self._ends


@lru_cache(64)
def marks_of(ends: tuple[str, ...]) -> tuple[frozenset[str], tuple[bytes, ...]]:
    """One for all streams of an API: the types that end one, and what is looked for in each event."""
    return frozenset(ends), (*(b'"%s"' % name.encode() for name in (*sorted(ends), "error")), _USAGE)


def _tells_none(data: bytes) -> bool:
    """True where usage is null wherever it is named: with `include_usage` in each event but the last."""
    return data.count(_USAGE) == data.count(_USAGE + b":null") + data.count(_USAGE + b": null")


def _is_one(data: bytes) -> bool:
    """True where it is sure to be one whole event. To look for any pair of line's ends costs ten times as much."""
    return data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data


def usage_of(document: dict[str, Any]) -> Usage | None:
    """By the names of any of the APIs; None where it says none, or something that cannot be true."""
    inner = document.get("response") or document.get("message")  # events carry what they are about
    usage = document.get("usage") or (inner.get("usage") if isinstance(inner, dict) else None)
    if not isinstance(usage, dict) or not usage.keys() & _COUNTS:
        return None
    prompt = _count(usage.get("prompt_tokens", usage.get("input_tokens", 0)))
    apart = _count(usage.get("cache_read_input_tokens"))  # Anthropic's input_tokens are without them
    answer = _count(usage.get("completion_tokens", usage.get("output_tokens", 0)))
    if prompt is None or answer is None:
        return None
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if apart:
        return Usage(prompt + apart, answer, apart)
    return Usage(prompt, answer, min(cached or 0, prompt))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None


def field_of(event: bytes, name: bytes) -> bytes:
    """The joined fields of that name of one event; empty where it has none."""
    start = name + b":"
    if event.startswith(start) and (end := event.find(b"\n")) >= len(event) - 2 and b"\r" not in event:
        return event[len(start) : end].removeprefix(b" ")  # it is the only line
    lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"\n".join(line[len(start) :].removeprefix(b" ") for line in lines if line.startswith(start))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadStream("its stream holds an event that is no JSON") from None
