"""The wire's exchange by itself: what the present story never asks of it, or only of a gateway that is slow."""

from __future__ import annotations

import asyncio

import pytest

from nexus_gateway.plain_head import PlainHead, plain_head
from nexus_gateway.wire import WireProtocol
from nexus_gateway.wire_exchange import WireExchange

from ..support.edges import Connection, Server
from .test_exchange import make_gateway
from .test_wire import run


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
    assert [(one.body, one.whole) for one in connection.heard()] == [(b"onetwo", True)]


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x\n", b"a"), (b"x", b"a\nb")])
def test_a_header_cannot_become_two(header: tuple[bytes, bytes]) -> None:
    async def answered() -> None:
        connection, exchange = begun(0)
        with pytest.raises(ValueError, match="line's end"):
            exchange.start(200, [(b"a", b"b"), header])
        assert not connection.transport.sent

    asyncio.run(answered())


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
