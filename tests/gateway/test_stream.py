"""Events are found however the bytes are cut, and each byte is relayed once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.stream import LARGEST_EVENT, BadStream, EventReader

ENDS = ["\n\n", "\r\n\r\n", "\r\r"]
EVENTS = [
    ": hello",
    'data: {"a": 1}',
    'event: x\ndata: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}',
    "data: [DONE]",
]


@given(ends=st.lists(st.sampled_from(ENDS), min_size=4, max_size=4), cuts=st.sets(st.integers(1, 150)))
def test_any_cut_gives_the_same_bytes_events_and_usage(ends: list[str], cuts: set[int]) -> None:
    answer = "".join(event + end for event, end in zip(EVENTS, ends, strict=True)).encode()
    stream, reader, relayed = answer + b"data: after\n\n", EventReader(), b""
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for begin, end in pairwise(places):
        if not reader.done:
            relayed += stream[begin:end][: reader.feed(stream[begin:end])]
    assert reader.done
    assert answer.startswith(relayed), "nothing is invented, and nothing after the end is relayed"
    assert len(answer) - len(relayed) <= 1, "at most the second half of the last CRLF is left, where a cut parts it"
    assert (reader.events, reader.usage) == (3, (3, 4, 0))


def test_an_event_without_end_is_cut_however_slowly_it_comes() -> None:
    reader = EventReader()
    for _ in range(LARGEST_EVENT):
        reader.feed(b"x")
    with pytest.raises(BadStream, match="too large"):
        reader.feed(b"x")


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: []\n\n", b'data: {"error": {}}\n\ndata: {"error": 1}\n\n'])
def test_a_first_event_that_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BadStream):
        EventReader().feed(data)


@pytest.mark.parametrize(
    "usage", ['{"prompt_tokens": -1, "completion_tokens": 1}', '{"prompt_tokens": "1"}', "3", "null"]
)
def test_usage_that_cannot_be_true_is_not_counted(usage: str) -> None:
    reader = EventReader()
    reader.feed(f'data: {{"usage": {usage}}}\n\n'.encode())
    assert reader.usage is None


_LINES = st.sampled_from([
    b'data: {"a": 1}', b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}', b"data: [DONE]", b"data:x",
    b"data", b": comment", b"event: message", b"data: two\ndata: lines", b"id: 7\ndata: 8", b"",
])  # fmt: skip
_ENDS = st.sampled_from([b"\n\n", b"\n\n", b"\r\n\r\n", b"\n"])


@given(st.lists(st.tuples(_LINES, _ENDS), min_size=1, max_size=8))
def test_events_that_come_one_by_one_are_those_that_come_together(events: list[tuple[bytes, bytes]]) -> None:
    """One by one they go a shorter way."""
    pieces = [b": begins\n\n", *(line + end for line, end in events)]
    assert heard(pieces) == heard([b"".join(pieces)])


class Hearing(EventReader):
    def __init__(self) -> None:
        super().__init__()
        self.told = list[bytes]()

    def passed(self, event: bytes) -> None:
        self.told.append(event)

    def heard(self, data: bytes) -> None:
        self.told.append(data)


def heard(pieces: list[bytes]) -> tuple[list[bytes], int, object, bool]:
    """What a reader tells of the pieces until their end, its end mark, or one that it refuses."""
    reader, kept = Hearing(), 0
    for piece in pieces:
        if reader.done:
            break
        try:
            kept += reader.feed(piece)
        except BadStream as bad:
            return reader.told, 0, str(bad), False
    return reader.told, kept, reader.usage, reader.done
