"""The wire edge's connections: when it stops waiting for a client, what it does for one that does not take its answer,
and how a gateway that stops ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nexus_gateway.asked import LARGEST
from nexus_gateway.body_limits import BODY_SECONDS
from nexus_gateway.limited_protocol import HEAD_SECONDS
from nexus_gateway.settings import EDGES, Edge
from nexus_gateway.wire import LATE_SECONDS

from ..support.edges import Connection, Server, settled
from .test_exchange import make_gateway
from .test_wire import answers, chunked, page, posted, run

IDLE = 75.0


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
@pytest.mark.parametrize("asked", [posted, page])
def test_empty_lines_do_not_keep_a_connection(edge: Edge, asked: Callable[[bytes], bytes]) -> None:
    async def waited() -> None:
        connection = Server(edge, make_gateway()).connect()
        await connection.say(asked(b"r-1"), b"\r\n", b"\r\n")
        await connection.say(asked(b"r-2"))
        assert [one.status for one in connection.heard()] == [200, 200]
        assert not connection.clocks.running(HEAD_SECONDS)
        await connection.say(b"\r\n")
        (clock,) = connection.clocks.running(HEAD_SECONDS)
        clock.ring()
        assert connection.transport.closing
        await connection.leave()

    asyncio.run(waited())


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("behind", [page(b"r-3"), chunked(b"r-3")])
def test_nothing_behind_a_head_that_is_refused_is_begun(edge: Edge, behind: bytes) -> None:
    async def refused() -> None:
        server = Server(edge, make_gateway())
        connection = server.connect()
        await connection.say(page(b"r-1"), page(b"r-2").replace(b"host: x", b"host: x\r\nhost: y") + behind)
        assert [one.status for one in connection.heard()] == [200, 400]
        assert server.pages == ["/health"]
        assert connection.transport.closing

    asyncio.run(refused())


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


async def begin_body(connection: Connection) -> None:
    """Nearly all of it, for whose rest it is not waited any more before the story begins."""
    await connection.say(posted()[:-3])
    (late,) = connection.clocks.running(LATE_SECONDS)
    late.ring()
    await settled()


@run
async def test_a_body_that_does_not_come_is_408_and_the_end_of_the_connection() -> None:
    server = Server("wire", make_gateway())
    connection = server.connect()
    await begin_body(connection)
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
async def test_a_head_that_has_begun_has_its_time_though_the_connection_was_idle_before() -> None:
    connection = Server("wire", make_gateway()).connect()
    await connection.say(posted())
    (clock,) = connection.clocks.running(IDLE)
    await connection.say(posted()[:50])
    connection.clocks.now += IDLE
    clock.ring()
    await connection.say(posted()[50:])
    assert [one.status for one in connection.heard()] == [200, 200]
    await connection.leave()


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


@run
async def test_a_request_ends_the_rest_that_uvicorn_s_answer_began() -> None:
    connection = Server("wire", make_gateway()).connect()
    await connection.say(page(b"r-1"))
    (clock,) = connection.clocks.running(IDLE)
    await connection.say(posted()[:-3])
    assert clock.stopped
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


@pytest.mark.parametrize("edge", EDGES)
def test_a_client_that_does_not_take_the_end_of_an_answer_is_cut_off_too(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a body is with the transport at once, and nothing waits but its end."""
    monkeypatch.setattr("nexus_gateway.relay.left", lambda deadline: 0.2)

    async def stuck() -> None:
        server = Server(edge, make_gateway())
        first = server.connect()
        await first.say(posted())
        connection, cut = server.connect(), asyncio.Event()
        monkeypatch.setattr(connection.transport, "abort", cut.set)
        connection.transport.room = len(first.transport.sent) - 1
        await connection.say(posted())
        if edge != "asgi":
            (clock,) = connection.clocks.running(0.2)
            clock.ring()
        await asyncio.wait_for(cut.wait(), 10)
        await connection.leave()
        assert not server.state.tasks
        await first.leave()

    asyncio.run(stuck())


@run
async def test_nothing_else_is_begun_for_a_client_that_does_not_take_its_answer() -> None:
    server, connection = await slow()
    assert connection.transport.full
    await connection.say(posted(b"r-2"), page(b"r-3"))
    assert len(connection.heard()) == 1
    connection.transport.take()
    await settled()
    assert [(one.status, one.whole) for one in connection.heard()] == [(200, True)] * 3
    assert server.pages == ["/health"]
    await connection.leave()


@run
async def test_nothing_is_begun_for_a_client_that_does_not_take_uvicorn_s_answer_either() -> None:
    server = Server("wire", make_gateway())
    connection = server.connect()
    await connection.say(page(b"r-1"))
    connection.transport.room = len(connection.transport.sent) - 1
    await connection.say(page(b"r-2"), posted(b"r-3"))
    assert [one.whole for one in connection.heard()] == [True, True]
    assert not server.state.tasks, "the third waits to be read"
    connection.transport.take()
    await settled()
    assert [one.status for one in connection.heard()] == [200, 200, 200]
    await connection.leave()


@run
async def test_the_socket_is_left_alone_while_much_is_held_behind_a_request() -> None:
    server, connection = await slow()
    many = posted(size=1000) * 100
    connection.protocol.data_received(many)
    assert not connection.transport.reading
    while len(connection.heard()) < 2:
        connection.transport.take(room=1)
        await settled()
    assert not connection.transport.reading, "another is begun, and what is held is still much"
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
        connection.protocol.shutdown()
        assert server.state.tasks, "uvicorn waits for it"
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
    await begin_body(connection)
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
