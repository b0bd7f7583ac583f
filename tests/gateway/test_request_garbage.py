"""Nothing of a request waits for Python's collector: what is free at once is warm for the next one, and a collection
of what thousands of requests have left holds all of them up."""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from nexus_gateway.turn import turn_of
from nexus_gateway.upstreams.protocol import UpstreamSlow

from ..bench.gateway_stages import Silent, answer, connected, gateway, request
from ..support.edges import settled

_EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "t"}}]}\n\n'
_EVENTS = (_EVENT, _EVENT, b"data: [DONE]\n\n")
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(event), event) for event in (*_EVENTS,)
)
END = b"0\r\n\r\n"


def asked(**fields: object) -> bytes:
    return request(json.dumps({"model": "chat", "messages": [], **fields}).encode())


CASES = {
    "whole": (asked(), (answer(),)),
    "stream": (asked(stream=True), (STREAM, END)),
    "refused by the engine": (asked(), (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",)),
    "no such model": (asked(model="none"), ()),
    "no such key": (asked().replace(b"Bearer nxs", b"Bearer not"), ()),
}


OURS = {"AsgiExchange", "Connection", "HttpAnswer", "Request", "Stepped", "StraightExchange", "Streamed", "Waiter",
        "WireExchange", "frame", "traceback"}  # fmt: skip


@contextmanager
def collected() -> Iterator[Counter[str]]:
    """Types of what only the collector can free, of all that is done meanwhile."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__qualname__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def left_by(story: Callable[[], None]) -> Counter[str]:
    story()  # what is made once is no garbage
    with collected() as found:
        story()
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_request_leaves_no_garbage(case: str, tmp_path: Path) -> None:
    said, answers = CASES[case]

    async def whole() -> Counter[str]:
        client, engine = Silent(), Silent()
        protocol, connection = connected(gateway(tmp_path), client, engine)

        def story() -> None:
            before = client.writes
            protocol.data_received(said)
            for piece in answers:
                connection.data_received(piece)
            turn_of(asyncio.get_running_loop()).end()
            assert client.writes > before, "it is answered"

        found = left_by(story)
        await asyncio.sleep(0)
        return found

    assert uvloop.run(whole()) == Counter()


@pytest.mark.parametrize("case", CASES)
def test_a_request_by_asgi_leaves_no_garbage(case: str, tmp_path: Path) -> None:
    said, answers = CASES[case]

    async def whole() -> Counter[str]:
        client, engine = Silent(), Silent()
        protocol, connection = connected(gateway(tmp_path), client, engine, "asgi")

        async def story() -> None:
            before = client.writes
            protocol.data_received(said)
            await settled()
            for piece in answers:
                connection.data_received(piece)
            await settled()
            assert client.writes > before, "it is answered"

        await story()
        with collected() as found:
            await story()
        return found

    assert not OURS & asyncio.run(whole()).keys()


@pytest.mark.parametrize("cut", ["by its client", "by its engine", "by its clock", "by a refusal"])
def test_a_call_that_comes_to_nothing_leaves_no_garbage(cut: str, tmp_path: Path) -> None:
    async def whole() -> Counter[str]:
        shared = gateway(tmp_path)

        def story() -> None:
            client = Silent()
            protocol, connection = connected(shared, client, Silent())
            protocol.data_received(asked())
            if cut == "by its clock":
                connection.abort(UpstreamSlow("for this test"))
            elif cut == "by a refusal":
                connection.data_received(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n")
            elif cut == "by its engine":
                connection.connection_lost(None)
            protocol.connection_lost(None)
            if cut != "by its engine":
                connection.connection_lost(None)
            turn_of(asyncio.get_running_loop()).end()
            assert (client.writes > 0) == (cut != "by its client")
            shared.breakers.succeeded("engine")  # else the next one goes another way

        found = left_by(story)
        await asyncio.sleep(0)
        return found

    assert not OURS & uvloop.run(whole()).keys(), "of the sockets' doubles some is left"


@pytest.mark.parametrize("cut", ["by its client", "by its engine", "by its clock"])
def test_a_stream_that_is_cut_leaves_no_garbage(cut: str, tmp_path: Path) -> None:
    async def whole() -> Counter[str]:
        shared = gateway(tmp_path)

        def story() -> None:
            client = Silent()
            protocol, connection = connected(shared, client, Silent())
            protocol.data_received(asked(stream=True))
            connection.data_received(STREAM[: STREAM.find(b"[DONE]") - 12])
            if cut == "by its clock":
                connection.abort(UpstreamSlow("for this test"))
            elif cut == "by its engine":
                connection.connection_lost(None)
            protocol.connection_lost(None)
            if cut != "by its engine":
                connection.connection_lost(None)
            assert client.writes, "it had begun"

        found = left_by(story)
        await asyncio.sleep(0)
        return found

    assert not OURS & uvloop.run(whole()).keys(), "of the sockets' doubles some is left"


def test_a_cycle_would_be_seen() -> None:
    def story() -> None:
        cycle: list[object] = []
        cycle.append(cycle)

    assert left_by(story) == Counter({"list": 1})
