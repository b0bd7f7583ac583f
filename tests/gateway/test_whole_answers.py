"""What the server offers an app of ours besides ASGI: byte by byte it is answered as by `send`, and as soon told of a
client that leaves."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from nexus_gateway.app import create_app
from nexus_gateway.asgi import CUT, LEAVES, WHOLE, AsgiExchange
from nexus_gateway.exchange import Waiter

from ..support.edges import Connection, Server, settled
from .test_asgi_exchange import LAST, Client, turns
from .test_exchange import make_gateway
from .test_wire import chunked, page, posted, run

_ID = re.compile(rb"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_CHAT = b"POST /v1/chat/completions HTTP/1.1"
ASKED = {
    "an answer": [posted()],
    "a stream": [posted(stream=True)],
    "a refusal": [posted().replace(b"dev-key", b"not-key")],
    "a refusal of a body that is not read": [posted(size=200_000).replace(b"dev-key", b"not-key")],
    "no such model": [posted(model="none")],
    "a body in frames": [chunked(b"r-1")],
    "a body that comes later": [posted()[:-40], posted()[-40:]],
    "who expects to be told to go on": [posted(more=b"expect: 100-continue\r\n")],
    "the last of a connection": [posted(more=b"connection: close\r\n"), page(b"r-2")],
    "an older protocol": [posted().replace(b"HTTP/1.1", b"HTTP/1.0")],
    "a HEAD": [posted().replace(_CHAT, b"HEAD /v1/responses/resp_1 HTTP/1.1")],
    "one after the other": [posted(b"r-1"), page(b"r-2"), posted(b"r-3")],
    "one behind the other": [posted(b"r-1") + posted(b"r-2") + page(b"r-3") + chunked(b"r-4")],
    "one behind it that is none": [posted(b"r-1") + b"GARBAGE\r\n\r\n"],
}


@cache
def standing(*, plain: bool) -> Server:
    """`plain`: as a server is that offers nothing but ASGI, and to cut a connection."""
    app = create_app(gateway := make_gateway())

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {CUT: scope["extensions"][CUT]} if plain else scope["extensions"]
        await app({**scope, "extensions": extensions}, receive, send)

    return Server("asgi", gateway, app=asked)


async def sent(connection: Connection, *pieces: bytes) -> tuple[bytes, bool]:
    await connection.say(*pieces)
    return _ID.sub(b"ID", connection.transport.sent), connection.transport.closing


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("room", [1 << 30, 300, 0])
def test_an_answer_is_the_same_byte_by_byte(asked: str, room: int) -> None:
    async def compare() -> None:
        found = []
        for plain in (True, False):
            connection = standing(plain=plain).connect()
            connection.transport.take(room)
            before = await sent(connection, *ASKED[asked])
            connection.transport.take()
            found.append((before, await sent(connection)))
            await connection.leave()
        assert found[0] == found[1]
        assert found[0][1][0]

    asyncio.run(compare())


@run
async def test_a_whole_answer_is_written_once() -> None:
    connection, writes = standing(plain=False).connect(), list[int]()
    write = connection.transport.write

    def counted(data: bytes | bytearray | memoryview) -> None:
        writes.append(len(data))
        write(data)

    connection.transport.write = counted  # type: ignore[method-assign]
    await connection.say(posted())
    assert [one.status for one in connection.heard()] == [200]
    assert writes == [len(connection.transport.sent)]
    await connection.leave()


@run
async def test_a_gateway_that_stops_sends_what_was_written_in_the_same_turn() -> None:
    connection = standing(plain=False).connect()
    connection.protocol.write(b"answer")
    connection.protocol.shutdown()
    assert (connection.transport.sent, connection.transport.closing) == (b"answer", True)
    await settled()


class Offering(Client):
    """A server that offers both."""

    def __init__(self, *messages: Any, takes: bool = True) -> None:
        super().__init__(*messages)
        self.whole: list[tuple[int, bytes, bytes]] = []
        self.takes = takes
        self.left: Any = None
        extensions = {CUT: self.cut, WHOLE: self.write_whole, LEAVES: self.leaves}
        self.scope = {**self.scope, "extensions": extensions}

    def write_whole(self, *answer: Any) -> bool:
        if self.takes:
            self.whole.append(answer)
        return self.takes

    def leaves(self, left: Any) -> None:
        self.left = left


async def answered(client: Client, exchange: AsgiExchange, length: int) -> None:
    async def story() -> None:
        await exchange.body()
        exchange.start(200, [(b"content-length", b"%d" % length)])
        await exchange.send(b"body", 60.0)
        exchange.end()

    await exchange.run(story())


@run
async def test_a_server_that_takes_an_answer_whole_is_sent_nothing_else() -> None:
    client = Offering(LAST)
    await answered(client, client.exchange(), 4)
    assert client.whole == [(200, b"content-length: 4\r\n", b"body")]
    assert (client.sent, client.left) == ([], None)


@pytest.mark.parametrize("why", ["the server does not take it", "more is to come"])
def test_an_answer_that_is_not_taken_whole_is_sent(why: str) -> None:
    async def whole() -> None:
        more = why == "more is to come"
        client = Offering(LAST, takes=more)
        await answered(client, client.exchange(), 5 if more else 4)
        assert client.whole == []
        assert [message["type"] for message in client.sent] == ["http.response.start", *["http.response.body"] * 2]
        assert client.bodies() == [b"body", b""]

    asyncio.run(whole())


@run
async def test_a_head_without_a_body_is_sent_when_the_story_is_over() -> None:
    client = Offering()
    exchange = client.exchange()

    async def story() -> None:
        exchange.start(200, [])

    await exchange.run(story())
    assert [message["type"] for message in client.sent] == ["http.response.start"]


@run
async def test_what_is_said_behind_a_whole_answer_is_no_answer_of_the_next_request() -> None:
    again = [Waiter[None](), Waiter[None]()]
    left = iter(again)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange, turn = AsgiExchange(scope, receive, send), next(left)

        async def story() -> None:
            await exchange.body()
            if turn is again[1]:
                await turn
            exchange.start(200, [(b"content-length", b"2"), (b"x-of", dict(scope["headers"])[b"x-request-id"])])
            exchange.send(b"ok", 60.0)
            exchange.end()
            await turn
            exchange.start(200, [(b"content-length", b"5")])
            exchange.send(b"wrong", 60.0)

        await exchange.run(story())

    connection = Server("asgi", make_gateway(), app=app).connect()
    await connection.say(posted(b"r-1"), posted(b"r-2"))
    again[0].give(None)
    await settled()
    assert [(one.first(b"x-of"), one.body) for one in connection.heard()] == [(b"r-1", b"ok")]
    assert connection.transport.closing, "uvicorn trusts no connection over which too much was to be said"


@run
async def test_a_server_that_tells_of_who_leaves_is_not_asked_for_it() -> None:
    client, told = Offering(LAST), Waiter[None]()
    exchange = client.exchange()

    async def story() -> None:
        await exchange.body()
        exchange.closed.then(lambda: told.give(None))
        await told

    running = asyncio.ensure_future(exchange.run(story()))
    await turns()
    assert not told.settled
    client.left()
    await running
    assert told.settled


@run
async def test_who_leaves_while_its_engine_is_asked_is_seen_to_leave() -> None:
    left, begun = list[str](), Waiter[None]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = AsgiExchange(scope, receive, send)

        async def story() -> None:
            await exchange.body()
            exchange.closed.then(lambda: begun.give(None))
            await begun
            left.append(scope["path"])

        await exchange.run(story())

    connection = Server("asgi", make_gateway(), app=app).connect()
    await connection.say(posted())
    assert not left
    await connection.leave()
    assert left == ["/v1/chat/completions"]
