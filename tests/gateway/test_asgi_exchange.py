"""The ASGI edge, asked as a server would: what comes late, what finds no room, and who leaves in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.types import Message

from nexus_gateway import asgi
from nexus_gateway.asgi import CUT, AsgiExchange
from nexus_gateway.asked import LARGEST
from nexus_gateway.errors import BODY_TIMEOUT, BODY_TOO_LARGE, ClientGone, Refusal
from nexus_gateway.exchange import Headers, Waiter

from .test_wire import run

Story = Callable[[AsgiExchange], Coroutine[Any, Any, None]]
PIECE: Message = {"type": "http.request", "body": b"piece ", "more_body": True}
LAST: Message = {"type": "http.request", "body": b"last"}
LEAVES: Message = {"type": "http.disconnect"}


class Client:
    """And its server. Messages come when they are put in, and what is sent waits while there is no `room`."""

    def __init__(self, *messages: Message, headers: Headers | None = None) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.messages.put_nowait(message)
        self.sent: list[Message] = []
        self.room = asyncio.Event()
        self.room.set()
        self.fault: Exception | None = None
        self.cuts = 0
        self.scope = {
            "method": "POST", "path": "/v1/x", "headers": headers or [], "extensions": {CUT: self.cut},
        }  # fmt: skip

    def cut(self) -> None:
        self.cuts += 1

    async def receive(self) -> Message:
        await asyncio.sleep(0)  # a server may let others go first
        return await self.messages.get()

    async def send(self, message: Message) -> None:
        await self.room.wait()
        if self.fault is not None:
            raise self.fault
        self.sent.append(message)

    def exchange(self) -> AsgiExchange:
        return AsgiExchange(self.scope, self.receive, self.send)

    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def fails(client: Client) -> BaseException:
    """What the story is told in place of a body."""
    found: list[BaseException] = []

    async def whole() -> None:
        exchange = client.exchange()

        async def story() -> None:
            try:
                await exchange.body()
            except Exception as error:
                found.append(error)

        await exchange.run(story())

    asyncio.run(whole())
    return found[0]


@run
async def test_a_body_is_whole_however_it_comes() -> None:
    client, found = Client(PIECE), list[bytes]()
    exchange = client.exchange()

    async def story() -> None:
        found.append(await exchange.body())

    running = asyncio.ensure_future(exchange.run(story()))
    await turns()
    assert not found
    client.messages.put_nowait(PIECE)
    client.messages.put_nowait(LAST)
    await running
    assert found == [b"piece piece last"]


@pytest.mark.parametrize(
    "client",
    [
        lambda: Client(headers=[(b"content-length", b"%d" % (LARGEST + 1))]),
        lambda: Client({**PIECE, "body": b"x" * LARGEST}, LAST),
    ],
    ids=["by its length", "as it comes"],
)
def test_a_body_that_is_too_large_is_refused(client: Callable[[], Client]) -> None:
    error = fails(client())
    assert isinstance(error, Refusal)
    assert error.condition is BODY_TOO_LARGE


def test_a_body_that_does_not_come_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.0)
    error = fails(Client(PIECE))
    assert isinstance(error, Refusal)
    assert error.condition is BODY_TIMEOUT


def test_who_leaves_in_the_middle_of_a_body_is_gone() -> None:
    assert isinstance(fails(Client(PIECE, LEAVES)), ClientGone)


@pytest.mark.parametrize("at_once", [True, False])
def test_who_leaves_behind_a_body_is_seen_to_leave(at_once: bool) -> None:
    async def whole() -> None:
        client = Client(LAST)
        exchange = client.exchange()
        left: Waiter[None] = Waiter()

        async def story() -> None:
            if not at_once:  # the body is asked for when `run` waits already
                await later
            await exchange.body()
            exchange.closed.then(lambda: left.give(None))
            await left

        later: Waiter[None] = Waiter()
        running = asyncio.ensure_future(exchange.run(story()))
        await turns()
        later.give(None)
        await turns()
        assert not left.settled
        client.messages.put_nowait(LAST)  # nothing that anybody asked for
        client.messages.put_nowait(LEAVES)
        await running
        assert left.settled
        sent = exchange.send(b"x", 1.0)
        assert isinstance(sent.error, ClientGone)

    asyncio.run(whole())


@run
async def test_what_finds_no_room_goes_out_later_and_in_its_order() -> None:
    client = Client(LAST)
    exchange, settled = client.exchange(), list[int]()

    async def story() -> None:
        await exchange.body()
        exchange.start(200, [])
        await exchange.send(b"1", 60.0)
        client.room.clear()
        for number, waiter in enumerate([exchange.send(b"2", 60.0), exchange.send(b"3", 60.0)]):
            await waiter
            settled.append(number)
        await exchange.send(b"4", 60.0)
        exchange.end()

    running = asyncio.ensure_future(exchange.run(story()))
    await turns()
    assert (client.bodies(), settled) == ([b"1"], [])
    client.room.set()
    await running
    assert (client.bodies(), settled) == ([b"1", b"2", b"3", b"4", b""], [0, 1])
    assert [message.get("more_body") for message in client.sent] == [None, True, True, True, True, False]
    assert not client.cuts


@run
async def test_the_end_of_an_answer_waits_for_room_too() -> None:
    client = Client()
    exchange = client.exchange()

    async def story() -> None:
        exchange.start(200, [])
        await exchange.send(b"1", 60.0)
        client.room.clear()
        exchange.end()

    running = asyncio.ensure_future(exchange.run(story()))
    await turns()
    assert not running.done()
    client.room.set()
    await running
    assert client.bodies() == [b"1", b""]


@run
async def test_a_client_that_makes_no_room_in_its_time_is_cut() -> None:
    client, told = Client(), list[BaseException]()
    client.room.clear()
    exchange = client.exchange()

    async def story() -> None:
        exchange.start(200, [])
        try:
            await exchange.send(b"1", 0.0)
        except ClientGone as gone:
            told.append(gone)

    await exchange.run(story())
    assert (len(told), client.cuts, client.sent) == (1, 1, [])


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("fault", [OSError("gone"), RuntimeError("not that message")])
def test_a_server_that_takes_nothing_more_is_heard(room: bool, fault: Exception) -> None:
    """A connection that is lost is the client's business, any other fault is ours and is not kept quiet."""

    async def whole() -> None:
        client = Client()
        client.fault = fault
        if not room:
            client.room.clear()
            asyncio.get_running_loop().call_soon(client.room.set)
        exchange, told = client.exchange(), list[BaseException]()

        async def story() -> None:
            try:
                await exchange.send(b"1", 60.0)
            except ClientGone as gone:
                told.append(gone)

        if isinstance(fault, OSError):
            await exchange.run(story())
        else:
            with pytest.raises(RuntimeError, match="not that message"):
                await exchange.run(story())
        assert len(told) == 1

    asyncio.run(whole())


@run
async def test_a_header_that_would_end_the_head_is_refused_before_anything_is_out() -> None:
    client = Client()
    exchange = client.exchange()

    async def story() -> None:
        for headers in ([(b"x", b"a\r\nb: c")], [(b"x\x00", b"a")]):
            with pytest.raises(ValueError, match="control character"):
                exchange.start(200, headers)
        assert not exchange.begun
        exchange.start(500, [(b"x", b"\ta\xff")])

    await exchange.run(story())
    assert [message["status"] for message in client.sent] == [500]


@pytest.mark.parametrize("waits_for", ["body", "room", "end"])
def test_a_server_that_stops_ends_the_story_too(waits_for: str) -> None:
    async def whole() -> None:
        client, told = Client(), list[BaseException]()
        client.room.clear()
        exchange, never = client.exchange(), Waiter[None]()

        async def story() -> None:
            try:
                if waits_for == "body":
                    await exchange.body()
                elif waits_for == "room":
                    await exchange.send(b"1", 60.0)
                else:
                    exchange.closed.then(lambda: never.fail(ClientGone()))
                    await never
            except ClientGone as gone:
                told.append(gone)

        running = asyncio.ensure_future(exchange.run(story()))
        await turns()
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(told) == 1

    asyncio.run(whole())


@run
async def test_what_the_story_raises_reaches_the_server() -> None:
    async def story() -> None:
        raise LookupError("a fault of ours")

    with pytest.raises(LookupError):
        await Client().exchange().run(story())
