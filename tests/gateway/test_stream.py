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
