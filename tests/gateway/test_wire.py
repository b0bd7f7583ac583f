"""The wire edge: what it takes from the socket, what it leaves to uvicorn, and when it stops waiting for a client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.app import create_app
from nexus_gateway.asked import LARGEST
from nexus_gateway.body_limits import BODY_SECONDS
from nexus_gateway.limited_protocol import HEAD_SECONDS, LimitedProtocol
from nexus_gateway.server import make_server
from nexus_gateway.settings import EDGES, Edge, read_settings

from ..support.edges import Connection, Server, settled
from ..support.heard import Heard
from .test_exchange import make_gateway
from .test_plain_head import crowded, heads

IDLE = 75.0
_TRACE = b"traceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\r\n"


def posted(name: bytes = b"r-1", *, stream: bool = False, more: bytes = b"", size: int = 0, **body: Any) -> bytes:
    """A plain request; `more` header lines, and a body of `size` bytes at least."""
    document = json.dumps({"model": "chat", "stream": stream, "messages": [], "x": "x" * size, **body}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev-key\r\n" + _TRACE
    head += b"content-type: application/json\r\nx-request-id: " + name + b"\r\n" + more
    return head + b"content-length: %d\r\n\r\n%s" % (len(document), document)


def chunked(name: bytes) -> bytes:
    head, _, body = posted(name).partition(b"\r\n\r\n")
    head = head[: head.rindex(b"\r\n")] + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"


def page(name: bytes) -> bytes:
    return b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: dev-key\r\nx-request-id: " + name + b"\r\n\r\n"


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def whole() -> None:
        asyncio.run(test())

    whole.__name__, whole.__doc__ = test.__name__, test.__doc__
    return whole


async def answers(edge: Edge, *pieces: bytes) -> tuple[list[Heard], list[str], bool]:
    """What comes of them, which pages FastAPI was asked for, and whether the connection was closed."""
    server = Server(edge, make_gateway())
    connection = server.connect()
    await connection.say(*pieces)
    closed = connection.transport.closing
    await connection.leave()
    return connection.heard(), server.pages, closed


# --- bytes, however they come ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_cut_anywhere_is_the_same_request(stream: bool) -> None:
    request = posted(stream=stream)

    async def compare() -> None:
        told, pages, _ = await answers("asgi", request)
        assert len(pages) == 1
        expected = [one.same() for one in told]
        assert expected[0][0] == 200
        for place in range(len(request)):
            heard, pages, closed = await answers("wire", request[:place], request[place:])
            assert ([one.same() for one in heard], pages, closed) == (expected, [], False), place
        heard, pages, _ = await answers("wire", *(request[place : place + 1] for place in range(len(request))))
        assert ([one.same() for one in heard], pages) == (expected, [])

    asyncio.run(compare())


@run
async def test_what_it_leaves_reaches_uvicorn_as_it_came_wherever_it_is_cut() -> None:
    request = posted(more=b"expect: x\r\n")
    expected, _, _ = await answers("asgi", request)
    assert expected[0].status == 200
    for place in range(len(request)):
        heard, pages, _ = await answers("wire", request[:place], request[place:])
        assert ([one.same() for one in heard], len(pages)) == ([one.same() for one in expected], 1), place


@run
async def test_requests_behind_one_another_are_answered_in_their_order_by_whichever_edge() -> None:
    kinds = [posted, page, posted, posted, chunked, posted, page, page, posted]
    requests = [make(b"r-%d" % number) for number, make in enumerate(kinds)]
    together = b"".join(requests)
    expected, _, _ = await answers("asgi", together)
    for pieces in ([together], requests, [together[:1], together[1:]], [together[:900], together[900:]]):
        heard, pages, closed = await answers("wire", *pieces)
        assert [one.same() for one in heard] == [one.same() for one in expected]
        assert [one.first(b"x-request-id") for one in heard if one.first(b"x-request-id")] == [
            b"r-%d" % number for number, make in enumerate(kinds) if make is not page
        ]
        assert not closed
    _, pages, _ = await answers("wire", *requests)
    assert pages == ["/v1/models", "/v1/chat/completions", "/v1/models", "/v1/models"]


@run
async def test_it_goes_on_where_a_body_ends_that_nobody_asked_for() -> None:
    refused = posted(b"r-1", size=200_000).replace(b"dev-key", b"not-key")
    later = posted(b"r-2")
    for pieces in ([refused, later], [refused + later], [refused[:400], refused[400:] + later[:9], later[9:]]):
        expected, _, _ = await answers("asgi", *pieces)
        heard, pages, _ = await answers("wire", *pieces)
        assert [one.status for one in heard] == [401, 200]
        assert [one.same() for one in heard] == [one.same() for one in expected]
        assert not pages


@given(st.one_of(heads, crowded, crowded), st.integers(0, 200), st.sampled_from([b"", b"x", b"xxxxx", b"xxxxxx"]))
def test_whatever_comes_both_edges_answer_it_alike(head: bytes, place: int, body: bytes) -> None:
    data = head + b"\r\n" + body

    async def both() -> None:
        expected, _, closed = await answers("asgi", data[:place], data[place:])
        heard, _, also = await answers("wire", data[:place], data[place:])
        assert [one.same() for one in heard] == [one.same() for one in expected]
        assert also is closed

    asyncio.run(both())


# --- what is cheap about it ------------------------------------------------------------------------------------------


async def tasks_for(edge: Edge) -> int:
    made = []

    def make(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **more)

    asyncio.get_running_loop().set_task_factory(make)
    heard, _, _ = await answers(edge, posted(stream=True))
    assert heard[0].whole
    return len(made)


@run
async def test_a_request_needs_no_task() -> None:
    assert await tasks_for("asgi") >= 1
    assert await tasks_for("wire") == 0


# --- clients that do not go on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("sent", [b"", b"POST /v1/ch", posted()[:200], b"GET /he"])
def test_a_head_that_does_not_come_ends_the_connection(edge: Edge, sent: bytes) -> None:
    async def waited() -> None:
        connection = Server(edge, make_gateway()).connect()
        await connection.say(*([sent] if sent else []))
        (clock,) = connection.clocks.running(HEAD_SECONDS)
        clock.ring()
        assert connection.transport.closing
        assert not connection.transport.sent
        await connection.leave()

    asyncio.run(waited())


@pytest.mark.parametrize("edge", EDGES)
def test_the_next_head_has_its_own_time(edge: Edge) -> None:
    async def waited() -> None:
        connection = Server(edge, make_gateway()).connect()
        await connection.say(posted())
        assert not connection.clocks.running(HEAD_SECONDS)
        await connection.say(posted()[:50])
        assert len(connection.clocks.running(HEAD_SECONDS)) == 1
        await connection.say(posted()[50:])
        assert not connection.clocks.running(HEAD_SECONDS)
        assert [one.status for one in connection.heard()] == [200, 200]
        await connection.leave()

    asyncio.run(waited())


@run
async def test_a_body_that_does_not_come_is_408_and_the_end_of_the_connection() -> None:
    server = Server("wire", make_gateway())
    connection = server.connect()
    await connection.say(posted()[:-3])
    (clock,) = connection.clocks.running(BODY_SECONDS)
    clock.ring()
    await settled()
    (told,) = connection.heard()
    assert (told.status, told.first(b"connection"), connection.transport.closing) == (408, b"close", True)
    assert not server.state.tasks


@run
async def test_a_body_that_has_come_has_no_clock() -> None:
    connection = Server("wire", make_gateway()).connect()
    await connection.say(posted()[:-3], posted()[-3:])
    assert not connection.clocks.running(BODY_SECONDS)
    assert connection.heard()[0].status == 200
    await connection.leave()


@run
async def test_a_body_that_is_too_large_is_refused_by_its_length_and_not_kept() -> None:
    connection = Server("wire", make_gateway()).connect()
    await connection.say(posted().replace(b"content-length: ", b"content-length: %d" % (LARGEST // 100)))
    (told,) = connection.heard()
    assert (told.status, told.first(b"connection"), connection.transport.closing) == (413, b"close", True)


@pytest.mark.parametrize("edge", EDGES)
def test_an_idle_connection_is_closed_and_a_used_one_is_not(edge: Edge) -> None:
    async def rested() -> None:
        connection = Server(edge, make_gateway()).connect()
        clocks = connection.clocks
        await connection.say(posted())
        clocks.now += IDLE - 1
        await connection.say(posted())
        clocks.now += 1
        for clock in clocks.running(IDLE)[:-1] if edge == "asgi" else clocks.running(IDLE):
            clock.ring()
        assert not connection.transport.closing, "it was used a second ago"
        clocks.now += IDLE - 1
        (clock,) = [one for one in clocks.every if not one.stopped]
        clock.ring()
        assert connection.transport.closing
        await connection.leave()

    asyncio.run(rested())


@run
async def test_a_connection_that_is_uvicorn_s_just_now_is_not_closed_as_idle() -> None:
    connection = Server("wire", make_gateway()).connect()
    await connection.say(posted())
    (clock,) = connection.clocks.running(IDLE)
    await connection.say(chunked(b"r-2")[:-5])
    connection.clocks.now += 2 * IDLE
    clock.ring()
    await connection.say(chunked(b"r-2")[-5:], posted(b"r-3"))
    assert [one.status for one in connection.heard()] == [200, 200, 200]
    assert not connection.transport.closing
    await connection.leave()


# --- clients that do not take ----------------------------------------------------------------------------------------


async def slow(edge: Edge = "wire", **body: Any) -> tuple[Server, Connection]:
    """A connection whose client takes no more than the head of the answer."""
    server = Server(edge, make_gateway())
    connection = server.connect()
    connection.transport.room = 1
    await connection.say(posted(**body))
    return server, connection


@run
async def test_no_more_is_written_than_the_client_takes() -> None:
    server, connection = await slow(stream=True)
    before = len(connection.transport.sent)
    assert not connection.heard()[0].whole
    connection.transport.take(room=1)
    await settled()
    assert before < len(connection.transport.sent)
    while not connection.heard()[0].whole:
        before = len(connection.transport.sent)
        connection.transport.take(room=1)
        await settled()
        assert len(connection.transport.sent) > before
    expected, _, _ = await answers("asgi", posted(stream=True))
    assert connection.heard()[0].same() == expected[0].same()
    connection.transport.take()
    await connection.leave()
    assert not server.state.tasks


@run
async def test_a_client_that_takes_nothing_within_the_deadline_is_cut_off() -> None:
    server, connection = await slow(stream=True)
    (clock,) = [one for one in connection.clocks.every if not one.stopped and one.seconds not in (HEAD_SECONDS, IDLE)]
    clock.ring()
    await settled()
    assert connection.transport.cut
    assert not server.state.tasks, "the story has ended too"


@run
async def test_nothing_else_is_begun_for_a_client_that_does_not_take_its_answer() -> None:
    server, connection = await slow()
    assert not connection.heard()[0].whole
    await connection.say(posted(b"r-2"), page(b"r-3"))
    assert len(connection.heard()) == 1
    connection.transport.take()
    await settled()
    assert [(one.status, one.whole) for one in connection.heard()] == [(200, True)] * 3
    assert server.pages == ["/v1/models"]
    await connection.leave()


@run
async def test_the_socket_is_left_alone_while_much_is_held_behind_a_request() -> None:
    server, connection = await slow()
    many = posted(size=1000) * 100
    connection.protocol.data_received(many)
    assert not connection.transport.reading
    connection.transport.take()
    await settled()
    assert [one.status for one in connection.heard()] == [200] * 101
    assert connection.transport.reading
    await connection.leave()
    assert not server.state.tasks


# --- clients that leave, and a gateway that does ---------------------------------------------------------------------


@pytest.mark.parametrize("sent", [posted()[:-3], posted()[:100], posted(stream=True)])
def test_a_client_that_leaves_takes_its_request_with_it(sent: bytes) -> None:
    async def left() -> None:
        server = Server("wire", make_gateway())
        connection = server.connect()
        connection.transport.room = 1
        await connection.say(sent)
        await connection.leave()
        assert not server.state.tasks
        assert not server.state.connections

    asyncio.run(left())


async def ask(connection: Connection) -> None:
    await connection.say(posted())


async def begin(connection: Connection) -> None:
    await connection.say(posted()[:50])


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("before", [ask, begin])
def test_a_gateway_that_stops_closes_connections_that_have_no_request(
    edge: Edge, before: Callable[[Connection], Awaitable[None]]
) -> None:
    async def stopped() -> None:
        connection = Server(edge, make_gateway()).connect()
        await before(connection)
        connection.protocol.shutdown()
        assert connection.transport.closing
        await settled()

    asyncio.run(stopped())


@pytest.mark.parametrize("edge", EDGES)
def test_a_gateway_that_stops_finishes_what_is_under_way_and_nothing_else(edge: Edge) -> None:
    async def stopped() -> None:
        server = Server(edge, make_gateway())
        connection = server.connect()
        await connection.say(posted()[:-3])
        assert server.state.tasks, "uvicorn waits for it"
        connection.protocol.shutdown()
        assert not connection.transport.closing
        await connection.say(posted()[-3:] + posted(b"r-2"))
        (told,) = connection.heard()
        assert (told.status, told.whole, told.first(b"connection")) == (200, True, b"close")
        assert connection.transport.closing
        assert not server.state.tasks

    asyncio.run(stopped())


@run
async def test_what_is_under_way_when_the_grace_is_over_is_cut_off() -> None:
    server = Server("wire", make_gateway())
    connection = server.connect()
    await connection.say(posted()[:-3])
    for under_way in server.state.tasks:
        under_way.cancel()
    await settled()
    assert connection.transport.cut
    assert not server.state.tasks


@pytest.mark.parametrize("admin_port", [None, 8000, 9000])
def test_nothing_is_relayed_on_the_operators_port(admin_port: int | None) -> None:
    async def asked() -> None:
        server = Server("wire", make_gateway(), admin_port)
        connection = server.connect()
        await connection.say(posted(), posted())
        assert len(server.pages) == (2 if admin_port == 8000 else 0), "there FastAPI says what is on the port"
        await connection.leave()

    asyncio.run(asked())


@pytest.mark.parametrize("edge", EDGES)
def test_the_setting_picks_who_reads(edge: Edge) -> None:
    settings = read_settings({"GATEWAY_EDGE": edge})
    gateway = make_gateway()
    made = make_server(create_app(gateway), gateway, settings, None).config.http
    assert (made is LimitedProtocol) is (edge == "asgi")


def test_the_wire_is_what_comes() -> None:
    assert read_settings({}).edge == "wire"
