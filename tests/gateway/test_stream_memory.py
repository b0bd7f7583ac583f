"""What an open stream holds. It is open for minutes, and there are thousands: what was for the call alone must not lie
there until its end."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import pytest

from nexus_gateway import wire
from nexus_gateway.settings import Edge

from ..bench.gateway_stages import Silent, connected, gateway, request
from ..support.edges import settled

_EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "t"}}]}\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BEGINNING = _HEAD + b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)


class Way(NamedTuple):
    edge: Edge
    straight: bool
    header: bytes
    most: int
    """Bytes that a stream may hold, above what its two connections have as they are made: a tenth more than it does."""


WAYS = {
    "straight": Way("wire", True, b"", 6900),
    "by the story": Way("wire", False, b"", 7800),
    "by ASGI": Way("asgi", False, b"", 15_000),
    "with an idempotency key": Way("wire", False, b"idempotency-key: %d\r\n", 12_500),
}


class Held(NamedTuple):
    """Bytes for each stream."""

    waiting: float
    """For the first byte."""
    begun: float


def asked(size: int, header: bytes, number: int) -> bytes:
    """For a stream, with `size` bytes of text, and with fields that are kept as they came."""
    said = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "w" * size}], "prompt": "x"}
    data = request(json.dumps(said).encode())
    return data.replace(b"host: ", (header % number if header else b"") + b"host: ", 1)


def held(folder: Path, way: str, size: int, streams: int) -> Held:
    edge, header = WAYS[way].edge, WAYS[way].header

    async def whole() -> Held:
        shared = gateway(folder)
        pairs = [connected(shared, Silent(), Silent(), edge) for _ in range(streams + 1)]

        async def ask(first: int, last: int) -> None:
            for number in range(first, last):
                pairs[number][0].data_received(asked(size, header, number))
                await settled()

        async def begin() -> None:
            for _, connection in pairs:
                if connection.owner is not None and not connection.heard:
                    connection.data_received(BEGINNING)
                    await settled()

        await ask(0, 1)  # what is made once is no stream's
        await begin()
        gc.collect()
        tracemalloc.start()
        try:
            await ask(1, streams + 1)
            waiting = tracemalloc.get_traced_memory()[0]
            await begin()
            begun = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert shared.metrics.in_flight == streams + 1, "all are open"
        for protocol, connection in pairs:
            protocol.connection_lost(None)
            connection.connection_lost(None)
        await settled()
        return Held(waiting / streams, begun / streams)

    return asyncio.run(whole())


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if not WAYS[name].straight:
        monkeypatch.setattr(wire, "set_out", lambda *_: None)
    return name


def test_a_stream_that_has_begun_holds_nothing_of_what_was_asked(way: str, tmp_path: Path) -> None:
    size = 200_000
    found = held(tmp_path, way, size, 3)
    assert found.waiting > size, "until then it may have to be sent again"
    assert found.begun < size / 10


def test_a_stream_holds_a_few_kilobytes(way: str, tmp_path: Path) -> None:
    """The machine's own figure, with all that it has of sockets and rounds up, is in docs/benchmarks.md."""
    found = held(tmp_path, way, 2000, 40)
    assert WAYS[way].most / 2 < found.begun < WAYS[way].most
