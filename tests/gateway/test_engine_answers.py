"""A connection reads an engine's answers as httptools would have, however their bytes are cut, and whole frames go on
as they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.upstreams.careful_answer import LARGEST_HEAD, CarefulAnswer
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.plain_answer import plain_answer
from nexus_gateway.upstreams.protocol import ResponseHead, UpstreamFault

from ..support.edges import Transport

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\nok"
FRAMES = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n00A\r\n0123456789\r\n0\r\n\r\n"
ODD = [
    b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n4;x\r\nefgh\r\n0\r\ntrailer: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcdX\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nab",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 3\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
    LENGTH + b"HTTP/1.1 200 OK\r\n",
    FRAMES + b"x",
    b"HTTP/1.1 200 OK\r\na: b\r\n folded\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"no HTTP at all\r\n\r\n",
]


class Sink:
    """Takes what comes, and says when it has no room."""

    def __init__(self, connection: Connection) -> None:
        self.data, self.framed, self.told = b"", list[bytes](), list[BaseException | None]()
        self._connection = connection
        self.room = 1 << 30

    def take(self, data: bytes, framed: bytes) -> None:
        self.data += data
        self.framed += [framed] if framed else []
        self.room -= 1
        if self.room <= 0:
            self._connection.hold()

    def take_frame(self, data: bytes) -> bool:
        return False

    def patience(self) -> float:
        return 60.0

    def over(self, fault: BaseException | None) -> None:
        self.told.append(fault)


Told = tuple[int, list[tuple[bytes, bytes]], bytes, str, bool]
"""Status, headers, body, how it ended, whether the connection is kept."""


async def connected() -> tuple[Connection, Transport, list[Connection]]:
    idle = list[Connection]()
    connection, transport = Connection(idle.append, lambda _: None), Transport()
    transport.protocol = connection
    connection.connection_made(transport)
    connection.send(object(), b"POST / HTTP/1.1\r\n\r\n", b"")
    return connection, transport, idle


async def read(pieces: list[bytes]) -> Told:
    connection, transport, idle = await connected()
    head, sink = connection.head(60.0), Sink(connection)
    head.then(lambda: connection.pour(sink) if head.error is None else None)
    for piece in pieces:
        if not transport.closing and not idle:
            connection.data_received(piece)
    if not transport.closing and not idle:
        connection.connection_lost(None)
    fault = head.error or (sink.told[0] if sink.told else None)
    if fault is not None:
        return 0, [], b"", str(fault), False
    return head.value.status, head.value.headers, sink.data, "whole" if sink.told else "", bool(idle)


def carefully(data: bytes) -> Told:
    """As httptools reads all of it."""
    found: dict[str, object] = {"body": b""}

    class Told:
        def began(self, head: ResponseHead) -> None:
            found["head"] = head

        def came(self, piece: bytes) -> None:
            found["body"] = found["body"] + piece  # type: ignore[operator]  # both are bytes

        def came_in_frames(self, payloads: list[bytes], framed: bytes) -> None:
            raise AssertionError("it knows of no frames")

        def ended(self, *, keep: bool) -> None:
            found["kept"] = keep

    try:
        CarefulAnswer(Told()).feed(data)
    except UpstreamFault as fault:
        return 0, [], b"", fault.reason, False
    if "kept" not in found:
        return 0, [], b"", "it closed the connection before its answer was whole", False
    head = found["head"]
    return head.status, head.headers, found["body"], "whole", found["kept"]  # type: ignore[attr-defined,return-value]  # as above


@given(st.sampled_from([LENGTH, FRAMES, *ODD]), st.sets(st.integers(1, 120), max_size=6))
def test_any_answer_cut_anywhere_is_read_as_httptools_reads_it(answer: bytes, cuts: set[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
    told = asyncio.run(read([answer[begin:end] for begin, end in pairwise(places)]))
    wanted = carefully(answer)
    if answer in (LENGTH + b"HTTP/1.1 200 OK\r\n", FRAMES + b"x"):  # in one piece it is a fault, else another's answer
        assert told in ((*carefully(answer[: len(LENGTH if answer.startswith(LENGTH) else FRAMES)]),), wanted)
    else:
        assert told == wanted


def test_both_ways_of_reading_are_taken() -> None:
    """Else the comparison above would hold for what is never read by hand."""
    plain = [one for one in (LENGTH, FRAMES, *ODD) if plain_answer(one[: one.find(b"\r\n\r\n") + 2]) is not None]
    assert LENGTH in plain
    assert FRAMES in plain
    assert len(plain) < len(ODD)


@pytest.mark.parametrize("line", [b"1_0", b" 4", b"4 ", b"+4", b"-4", b"0x4", b"", b"123456789", b"4;a"])
def test_a_size_is_a_number_and_nothing_else(line: bytes) -> None:
    async def told() -> Sink:
        connection, _, _ = await connected()
        sink = Sink(connection)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.pour(sink)
        connection.data_received(line + b"\r\nabcd\r\n")
        return sink

    assert asyncio.run(told()).framed == [], "no client gets a frame that its reader and ours may read differently"


def test_whole_frames_go_on_as_they_came_and_parts_do_not() -> None:
    async def told() -> Sink:
        connection, _, idle = await connected()
        sink = Sink(connection)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.pour(sink)
        for piece in (b"2\r\nab\r\n", b"2\r\ncd\r\n1\r\ne\r\n", b"2\r\nf", b"g\r\n", b"1\r\nh\r\n0\r\n\r\n"):
            connection.data_received(piece)
        assert idle == [connection]
        return sink

    sink = asyncio.run(told())
    assert sink.data == b"abcdefgh"
    assert sink.framed == [b"2\r\nab\r\n", b"2\r\ncd\r\n1\r\ne\r\n", b"1\r\nh\r\n"]
    assert sink.told == [None]


def test_who_has_no_room_is_told_nothing_and_the_socket_is_left_alone() -> None:
    async def told() -> None:
        connection, transport, idle = await connected()
        sink = Sink(connection)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        sink.room = 1
        connection.pour(sink)
        connection.data_received(b"2\r\nab\r\n")
        assert not transport.reading
        connection.data_received(b"2\r\ncd\r\n0\r\n\r\n")  # had come before the socket knew
        assert (sink.data, sink.told, idle) == (b"ab", [], [])
        sink.room = 1 << 30
        connection.go_on()
        assert (sink.data, sink.told, idle, transport.reading) == (b"abcd", [None], [connection], True)

    asyncio.run(told())


def test_what_came_before_the_end_of_a_connection_is_taken_first() -> None:
    async def told() -> None:
        connection, _, _ = await connected()
        sink = Sink(connection)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        sink.room = 1
        connection.pour(sink)
        connection.data_received(b"2\r\nab\r\n")
        connection.data_received(b"2\r\ncd\r\n")
        connection.connection_lost(None)
        assert (sink.data, sink.told) == (b"ab", [])
        sink.room = 1 << 30
        connection.go_on()
        assert sink.data == b"abcd"
        assert isinstance(sink.told[0], UpstreamFault)

    asyncio.run(told())


def test_a_frame_behind_the_end_is_nobodys() -> None:
    async def told() -> None:
        connection, transport, idle = await connected()
        sink = Sink(connection)
        connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        sink.room = 1
        connection.pour(sink)
        connection.data_received(b"2\r\nab\r\n")
        connection.data_received(b"2\r\ncd\r\n0\r\n\r\n")
        connection.data_received(b"2\r\nno\r\n")
        assert transport.cut
        sink.room = 1 << 30
        connection.go_on()
        assert (sink.data, sink.told, idle) == (b"abcd", [None], [])

    asyncio.run(told())


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nx: " + b"a" * (LARGEST_HEAD + 100) + b"\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"a" * (LARGEST_HEAD + 100),
])  # fmt: skip
def test_a_large_head_is_refused_whole_or_not(head: bytes) -> None:
    assert "larger than" in asyncio.run(read([head]))[3]


def test_a_connection_that_speaks_unasked_is_cut() -> None:
    async def told(say: Callable[[Connection], None]) -> bool:
        connection, transport, idle = await connected()
        head = connection.head(60.0)
        connection.data_received(LENGTH)
        assert head.value.status == 200
        assert connection.chunk(60.0).value == b"ok"
        assert connection.chunk(60.0).value == b""
        assert idle == [connection]
        say(connection)
        return transport.cut

    assert asyncio.run(told(lambda connection: connection.data_received(LENGTH)))
    assert not asyncio.run(told(lambda connection: connection.send(object(), b"", b"")))
