"""The story is one coroutine that any server can drive: by asyncio, or stepped from plain callbacks without a loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from nexus_gateway.asgi import AsgiExchange
from nexus_gateway.auth import Credentials
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.exchange import Headers, RequestHead, Waiter, drive, given
from nexus_gateway.gateway import Gateway
from nexus_gateway.key_ring import KeyRing
from nexus_gateway.keys import keys_of_environment
from nexus_gateway.proxy import answer
from nexus_gateway.served import Served
from nexus_gateway.snapshot import build
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.telemetry.logs import LogWriter

BODY = b'{"model": "chat", "stream": true, "messages": []}'
HEADERS: Headers = [
    (b"authorization", b"Bearer dev-key"),
    (b"content-type", b"application/json"),
    (b"x-request-id", b"r-1"),
    (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
]


def make_gateway() -> Gateway:
    routes = (
        b'{"upstreams": {"m": {"url": "mock://local"}}, "routes": {"chat": {"strategy": "direct", "upstream": "m"}}}'
    )
    served = Served(build({"chat.yaml": routes}, {}, 10.0))
    return Gateway(served, Credentials(KeyRing(keys_of_environment(None, "127.0.0.1"))), BreakerSettings(), LogWriter())


class PlainExchange:
    """An edge without asyncio: the body arrives, and room for more is found, when the test says so."""

    def __init__(self) -> None:
        self.head = RequestHead("POST", "/v1/chat/completions", HEADERS, "127.0.0.1")
        self.closed: Waiter[None] = Waiter()
        self.body_waiter: Waiter[bytes] = Waiter()
        self.room: list[Waiter[None]] = []
        self.status, self.headers, self.sent, self.ended = 0, Headers(), b"", False
        self.flowing = False

    def body(self) -> Waiter[bytes]:
        return self.body_waiter

    def start(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def write(self, framed: bytes) -> None:
        self.sent += framed

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        self.sent += data
        self.room.append(Waiter())
        return self.room[-1]

    def end(self) -> None:
        self.ended = True


def stepped() -> PlainExchange:
    exchange, ended = PlainExchange(), list[BaseException | None]()
    drive(answer(make_gateway(), exchange, SURFACES[exchange.head.path]), ended.append)
    assert exchange.status == 0, "nothing is answered before the body is there"
    exchange.body_waiter.give(BODY)
    while not ended:
        exchange.room.pop(0).give(None)
    assert ended == [None]
    return exchange


async def by_asyncio() -> tuple[int, Headers, bytes]:
    messages: list[Any] = [{"type": "http.request", "body": BODY, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"method": "POST", "path": "/v1/chat/completions", "headers": HEADERS, "client": ("127.0.0.1", 1)}
    exchange = AsgiExchange(scope, receive, send)
    await exchange.run(answer(make_gateway(), exchange, SURFACES[exchange.head.path]))
    return sent[0]["status"], sent[0]["headers"], b"".join(message["body"] for message in sent[1:])


def test_both_drivers_give_the_same_bytes() -> None:
    plain = stepped()
    status, headers, body = asyncio.run(by_asyncio())
    assert plain.ended
    assert (plain.status, plain.sent) == (status, body)
    changing = {b"traceparent"}  # its span is made anew for each request
    assert [h for h in plain.headers if h[0] not in changing] == [h for h in headers if h[0] not in changing]
    assert body.endswith(b"data: [DONE]\n\n")


def test_the_story_waits_for_room_before_it_sends_more() -> None:
    exchange, ended = PlainExchange(), list[BaseException | None]()
    drive(answer(make_gateway(), exchange, SURFACES[exchange.head.path]), ended.append)
    exchange.body_waiter.give(BODY)
    before = exchange.sent
    assert before
    assert not ended
    exchange.room.pop(0).give(None)
    assert len(exchange.sent) > len(before)


def test_a_settled_waiter_is_not_waited_for() -> None:
    heard: list[int] = []

    async def story() -> None:
        heard.append(await given(3))

    drive(story(), lambda error: heard.append(-1 if error else 4))
    assert heard == [3, 4]


def test_the_story_uses_no_asyncio() -> None:
    """It may await waiters only; the import would be the first sign of anything else."""
    source = Path(answer.__code__.co_filename).read_text(encoding="utf-8")
    assert "asyncio" not in source
