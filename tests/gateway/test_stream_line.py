"""A line in C takes what `Streamed.take_frame` takes of a stream, no more and no less, and counts it alike."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_gateway.stream import EventReader
from nexus_gateway.streamed import Streamed
from nexus_gateway.telemetry.families import GAPS
from nexus_gateway.telemetry.gaps import Gaps

from ..support.passed_by import FIRST, NEXT, event, frame
from .test_streamed import Engine, Roomy

nexus_native = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

USAGES = (b'"usage": null', b'"usage":null', b'"usage" : null', b'"usage": {"prompt_tokens": 1}', b'"usage":nul')
SAID = (
    *USAGES, b'"error": null', b'"type": "response.completed"', b'"\xff": "\xc3\xa9"', b"", b"}", b"{",
    b'"usage": null, "usage": 1', b'"a": 1\n', b'"a": 1\r', b'"a":\ndata: 1', b"x" * 9, b"x" * 300,
)  # fmt: skip
BEGINNINGS = (b"data:{", b"data: ", b"data:  {", b"event: x\ndata: {", b": {", b"\n", b"Data: {", b"\ndata: {")
ENDS = (b"}\r\n\r\n", b"}\n", b"}", b"]\n\n", b"} \n\n", b"}\n\n\n", b"}\r\r", b"}\n\r", b"")
SIZES = (b"%X", b"0%x", b"%x;a=1", b"+%x", b"%x ", b" %x", b"0x%x", b"0000000%x", b"00000000%x", b"")


def odd(
    size: bytes = b"%x", off: int = 0, beginning: bytes = b"data: {", said: bytes = b'"a": 1', end: bytes = b"}\n\n",
    behind: bytes = b"\r\n",
) -> bytes:  # fmt: skip
    """A frame that is a plain one but for what is given."""
    payload = beginning + said + end
    return (size % (len(payload) + off) if size else b"") + behind + payload + behind


ODD = (
    odd(),
    *(odd(said=said) for said in SAID),
    *(odd(beginning=beginning) for beginning in BEGINNINGS),
    *(odd(end=end) for end in ENDS),
    *(odd(size=size) for size in SIZES),
    *(odd(off=off) for off in (-1, 1, 16)),
    *(odd(behind=behind) for behind in (b"\n", b"\r", b"")),
    b"aB" + odd(said=b"x" * (0xAB - 10))[2:],
    b"AB" + odd(said=b"x" * (0xAB - 10))[2:],
    b"9\r\ndata: {}\n\r\n",
    b"a\r\ndata: {}\n\n\r\n",
    b"0\r\n\r\n",
    b"",
)
frames = st.sampled_from(ODD) | st.integers(0, 300).map(lambda size: frame(event("x" * size)))


@st.composite
def pieces(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """A stream as it is cut, and for each piece whether it might go straight."""
    data = b"".join(draw(st.lists(frames, min_size=1, max_size=4)))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=2)) + data[place + draw(st.integers(0, 2)) :]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data))), max_size=3)))
    found = [data[start:end] for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    return [(piece, draw(st.booleans())) for piece in found if piece]


class Taken(NamedTuple):
    sent: bytes
    delivered: list[bytes]
    events: int
    bytes: int
    gaps: int
    last: list[bytes]


def begun(ends: tuple[str, ...], keeps: bool) -> EventReader:
    reader = EventReader(ends, keeps=keeps)
    reader.feed(event("first"))
    return reader


def in_python(given: list[tuple[bytes, bool]], ends: tuple[str, ...], keeps: bool) -> Taken:
    exchange, reader, gaps = Roomy(), begun(ends, keeps), Gaps()
    exchange.flowing = True
    stream = Streamed(exchange, Engine(), reader, gaps, quiet=5.0, deadline=1e9)
    delivered, straight = list[bytes](), False
    for piece, may in given:
        straight, place = straight or may, 0
        while straight and (size := taken_first(stream, piece[place:])):
            place += size
        if piece[place:]:
            delivered.append(piece[place:])
            straight = False
    return Taken(exchange.sent, delivered, reader.events, stream.bytes, sum(gaps.counts), reader.last)


def taken_first(stream: Streamed, data: bytes) -> int:
    """Bytes of the frame that it begins with, where that is taken."""
    return next((size for size in range(1, len(data) + 1) if stream.take_frame(data[:size])), 0)


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


def in_c(given: list[tuple[bytes, bool]], ends: tuple[str, ...], keeps: bool) -> Taken:
    delivered, sent, reader, plane = list[bytes](), b"", begun(ends, keeps), nexus_native.Plane()
    may = False

    def never(_: Any) -> None:
        raise AssertionError("nothing ends here, and there is room")

    with pair() as (engine, source), pair() as (sink, client):
        line = nexus_native.StreamLine(
            plane, source.fileno(), sink.fileno(), lambda: may, delivered.append, never, never, reader.marks, keeps,
            GAPS, 0.0,
        )  # fmt: skip
        for piece, may in given:  # noqa: B007 - it is asked for in the turn
            engine.send(piece)
            plane.turn()
            with suppress(BlockingIOError):
                sent += client.recv(1 << 20)
        _, events, passed, counts, _, _, last = line.taken(0.0)
        line.end()
    reader.passed_by(events, last)
    return Taken(sent, delivered, reader.events, passed, sum(counts), reader.last)


@given(pieces(), st.sampled_from(((), ("response.completed", "response.failed"))), st.booleans())
@example([(FIRST + NEXT + NEXT, True)], (), True)
@example([(NEXT[:10], True), (NEXT[10:], False), (NEXT, False)], (), True)
@settings(max_examples=400)
def test_it_takes_what_python_takes(given: list[tuple[bytes, bool]], ends: tuple[str, ...], keeps: bool) -> None:
    assert in_c(given, ends, keeps) == in_python(given, ends, keeps)


@pytest.mark.parametrize("ends", [(), ("response.completed",)])
def test_it_leaves_what_python_leaves(ends: tuple[str, ...]) -> None:
    every = [[(NEXT + one + NEXT, True), (one, True)] for one in ODD]
    found = [in_c(given, ends, True) for given in every]
    assert found == [in_python(given, ends, True) for given in every]
    assert len(ODD) / 2 < sum(bool(one.delivered) for one in found) < len(ODD)


def test_much_is_taken_and_much_is_not() -> None:
    """By the same ways: else the two might agree for want of anything to differ in."""
    given = [(NEXT + NEXT + frame(b": c\n\n") + NEXT, True), (NEXT, False), (NEXT + NEXT[:7], True)]
    found = in_c(given, (), True)
    assert found == in_python(given, (), True)
    assert found.sent == NEXT * 3
    assert found.delivered == [frame(b": c\n\n") + NEXT, NEXT, NEXT[:7]]
    assert (found.events, found.bytes, found.gaps) == (4, 3 * len(event("next")), 3)
    assert found.last == [NEXT, NEXT, NEXT]


@pytest.mark.parametrize("bounds", [tuple(map(float, range(32))), (0.5, 1)])
def test_bounds_that_it_cannot_count_by_are_refused(bounds: tuple[float, ...]) -> None:
    with pair() as (source, sink), pytest.raises(ValueError, match=r"bounds: .*: at most 31 floats"):
        nexus_native.StreamLine(
            nexus_native.Plane(), source.fileno(), sink.fileno(), bool, bool, bool, bool, (), False, bounds, 0.0
        )
