"""The wire edge: what it takes from the socket, what it leaves to uvicorn, and that it needs no task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nexus_gateway import native
from nexus_gateway.app import create_app
from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.limited_protocol import LimitedProtocol
from nexus_gateway.plain_head import _HEADER, END, plain_head
from nexus_gateway.server import make_server
from nexus_gateway.settings import Edge, read_settings

from ..support.edges import OURS, Server
from ..support.heard import Heard
from .test_exchange import make_gateway
from .test_plain_head import crowded, heads

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
    return b"GET /health HTTP/1.1\r\nhost: x\r\nx-request-id: " + name + b"\r\n\r\n"


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def whole() -> None:
        asyncio.run(test())

    whole.__name__, whole.__doc__ = test.__name__, test.__doc__
    return whole


@cache
def standing(edge: Edge) -> Server:
    """One for all that only ask: FastAPI takes long to be put together."""
    return Server(edge, make_gateway())


async def answers(edge: Edge, *pieces: bytes) -> tuple[list[Heard], list[str], bool]:
    """What comes of them, which pages FastAPI was asked for, and whether the connection was closed."""
    server = standing(edge)
    before, connection = len(server.pages), server.connect()
    await connection.say(*pieces)
    closed = connection.transport.closing
    await connection.leave()
    return connection.heard(), server.pages[before:], closed


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


def test_a_line_of_a_head_is_read_a_few_times_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a head of 14 kB that comes byte by byte takes a third of a second of everybody's time."""
    read: list[int] = []

    class Counted:
        def findall(self, data: bytes) -> list[tuple[bytes, bytes]]:
            read.append(len(data))
            return _HEADER.findall(data)

    monkeypatch.setattr("nexus_gateway.plain_head._HEADER", Counted())
    request = posted(more=b"x: %b\r\n" % (b"a" * 100) * 40)
    heard, pages, _ = asyncio.run(answers("wire", *(request[place : place + 1] for place in range(len(request)))))
    assert ([one.status for one in heard], pages) == ([200], [])
    assert len(read) <= request.count(b"\r\n")


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
    assert pages == ["/health", "/v1/chat/completions", "/health", "/health"]


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


@run
async def test_a_body_that_looks_like_a_request_is_none() -> None:
    """uvicorn has answered before its end came, and a piece of it begins as a plain request does."""
    head = chunked(b"r-1").replace(b"dev-key", b"not-key").partition(b"\r\n\r\n")[0]
    inner = posted(b"r-2")
    pieces = [head + b"\r\n\r\n%x\r\n" % len(inner), inner + b"\r\n0\r\n\r\n", posted(b"r-3")]
    expected, _, _ = await answers("asgi", *pieces)
    heard, _, _ = await answers("wire", *pieces)
    assert [(one.status, one.first(b"x-request-id")) for one in heard] == [(401, b"r-1"), (200, b"r-3")]
    assert [one.same() for one in heard] == [one.same() for one in expected]


def behind(data: bytes) -> bytes:
    """What stands behind the request that the wire takes."""
    end = data.find(END)
    plain = plain_head(data[: end + 2]) if end >= 0 else None
    return data[end + len(END) + plain.length :] if plain is not None else b""


@run
async def test_a_request_is_answered_whatever_rubbish_is_behind_it() -> None:
    """Here the edges differ: uvicorn turns both away once it has read the rubbish."""
    heard, _, closed = await answers("wire", posted() + b"x")
    assert [one.status for one in heard] == [200, 400]
    assert closed
    heard, _, closed = await answers("asgi", posted() + b"x")
    assert [one.status for one in heard] == [400]
    assert closed


@given(st.one_of(heads, crowded, crowded), st.integers(0, 200), st.sampled_from([b"", b"x", b"xxxxx", b"xxxxxx"]))
def test_whatever_comes_both_edges_answer_it_alike(head: bytes, place: int, body: bytes) -> None:
    data = head + b"\r\n" + body
    assume(not behind(data))

    async def both() -> None:
        expected, _, closed = await answers("asgi", data[:place], data[place:])
        heard, _, also = await answers("wire", data[:place], data[place:])
        assert [one.same() for one in heard] == [one.same() for one in expected]
        assert also is closed

    asyncio.run(both())


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


@pytest.mark.parametrize("edge", [*OURS, "asgi"])
def test_the_setting_picks_who_reads(edge: Edge) -> None:
    settings = read_settings({"GATEWAY_EDGE": edge})
    gateway = make_gateway()
    made = make_server(create_app(gateway), gateway, settings, None).config.http
    assert (made is LimitedProtocol) is (edge == "asgi")


def test_c_is_what_comes_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "is_built", lambda: True)
    assert read_settings({}).edge == "native"
    monkeypatch.setattr(native, "is_built", lambda: False)
    assert read_settings({}).edge == "wire"
    with pytest.raises(ConfigRefused, match="GATEWAY_EDGE: 'native': nexus-native is not installed here"):
        read_settings({"GATEWAY_EDGE": "native"})
