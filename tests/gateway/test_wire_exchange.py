"""The wire's exchange by itself: what the present story never asks of it, or only of a gateway that is slow."""

from __future__ import annotations

import asyncio
import time

import pytest

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.kept_responses.place import Place
from nexus_gateway.plain_head import PlainHead, plain_head
from nexus_gateway.wire import WireProtocol
from nexus_gateway.wire_exchange import WireExchange

from ..support.edges import Connection, Server, settled
from .test_exchange import make_gateway
from .test_wire import posted, run


def begun(length: int) -> tuple[Connection, WireExchange]:
    """An exchange whose story has asked for nothing yet."""
    connection = Server("wire", make_gateway()).connect()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % length
    plain = plain_head(head)
    assert isinstance(plain, PlainHead)
    assert isinstance(connection.protocol, WireProtocol)
    return connection, WireExchange(connection.protocol, plain)


@run
async def test_a_piece_of_nothing_does_not_end_the_answer() -> None:
    connection, exchange = begun(0)
    exchange.start(200, [])
    for piece in (b"", b"one", b"", b"two"):
        assert exchange.send(piece, 1.0).settled
    exchange.end()
    await settled()
    assert [(one.body, one.whole) for one in connection.heard()] == [(b"onetwo", True)]


@pytest.mark.parametrize(
    "header", [(b"x", b"a\r\nb: c"), (b"x\n", b"a"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x", b"\0")]
)
def test_a_header_cannot_become_two(header: tuple[bytes, bytes]) -> None:
    async def answered() -> None:
        connection, exchange = begun(0)
        with pytest.raises(ValueError, match="line's end"):
            exchange.start(200, [(b"a", b"b"), header])
        assert not connection.transport.sent

    asyncio.run(answered())


@run
async def test_an_answer_begins_once() -> None:
    connection, exchange = begun(0)
    exchange.start(200, [])
    before = connection.transport.sent
    with pytest.raises(RuntimeError, match="begun already"):
        exchange.start(500, [])
    assert connection.transport.sent == before


@run
async def test_nothing_is_sent_before_the_answer_has_begun() -> None:
    connection, exchange = begun(0)
    with pytest.raises(ValueError, match="control character"):
        exchange.start(200, [(b"x", b"a\nb")])
    with pytest.raises(RuntimeError, match="not begun"):
        exchange.send(b"data: x\n\n", 1.0)
    with pytest.raises(RuntimeError, match="not begun"):
        exchange.end()
    assert not connection.transport.sent


@run
async def test_the_socket_is_left_alone_until_somebody_asks_for_a_large_body() -> None:
    connection, exchange = begun(200_000)
    exchange.take(b"x" * 60_000)
    assert connection.transport.reading
    exchange.take(b"x" * 60_000)
    assert not connection.transport.reading
    body = exchange.body()
    assert connection.transport.reading
    exchange.take(b"x" * 80_000)
    assert body.value == b"x" * 200_000
    assert connection.transport.reading


@run
async def test_a_story_that_ends_without_an_answer_ends_the_connection() -> None:
    connection, exchange = begun(0)
    exchange.finished(None)
    assert connection.transport.closing


class Slow:
    """Places that are noted when the time of the whole request is over."""

    def __init__(self) -> None:
        self.late = 0.0

    def note(self, response: str, place: Place) -> Waiter[None]:
        self.late = 1e6
        return given(None)

    def monotonic(self) -> float:
        return time.monotonic() + self.late


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_that_passes_before_the_answer_begins_leaves_one_head(
    stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered() -> None:
        gateway, slow = make_gateway(), Slow()
        monkeypatch.setattr(gateway, "places", slow)
        monkeypatch.setattr("nexus_gateway.relay.time", slow)
        connection = Server("wire", gateway).connect()
        await connection.say(posted(stream=stream, input="x").replace(b"/v1/chat/completions", b"/v1/responses"))
        assert slow.late, "an engine has answered"
        assert [one.status for one in connection.heard()] == [504]
        assert connection.transport.sent.count(b"HTTP/1.1 ") == 1
        await connection.leave()

    asyncio.run(answered())
