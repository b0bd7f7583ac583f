"""Streams that are relayed in C (gateway/native/): on real sockets, with an engine whose every byte is the test's, and
beside what Python does with the same bytes."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import pytest
import uvloop

from nexus_gateway import streamed
from nexus_gateway.settings import Edge
from nexus_gateway.streamed import Streamed
from nexus_gateway.upstreams.protocol import UpstreamSlow
from nexus_gateway.wire import WireProtocol

from ..support.hand_fed import END, Client, Engine, hand_fed
from ..support.issuer import until

nexus_native = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

P = ParamSpec("P")
DONE = b"data: [DONE]\n\n"


def on_sockets(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """In a loop of its own. What never comes fails it."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class Passed:
    """What has passed by Python."""

    def __init__(self) -> None:
        self.lines = self.events = 0


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Passed:
    found = Passed()

    class Watched(nexus_native.StreamLine):  # type: ignore[misc, name-defined]  # it may not be there
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.lines += 1

        def taken(self, asked: float) -> Any:
            taken = super().taken(asked)
            found.events += taken[1]
            return taken

    monkeypatch.setattr(nexus_native, "StreamLine", Watched)
    return found


def event(text: str) -> bytes:
    return b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n' % text.encode()


def frame(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


FIRST, NEXT = frame(event("first")), frame(event("next"))


async def closed(client: Client, engine: Engine, *said: bytes) -> bytes:
    """The answer's body, where the engine closes together with its last bytes."""
    engine.put(b"".join(said))
    engine.close()
    return (await client.answer()).body


# --- its end ----------------------------------------------------------------------------------------------------------


@on_sockets
async def test_an_engine_that_dies_with_its_last_bytes_is_noticed_at_once(tmp_path: Path, passed: Passed) -> None:
    async with hand_fed(tmp_path, "native") as world:
        client, engine = await world.streaming(FIRST)
        body = await closed(client, engine, NEXT)
        assert b"it closed the connection before its answer was whole" in body
        assert (event("next") in body, passed.events) == (True, 1)


@on_sockets
async def test_an_engine_that_closes_with_its_end_mark_ends_the_answer_at_once(
    tmp_path: Path, passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "_AFTER_DONE_SECONDS", 1000.0)
    async with hand_fed(tmp_path, "native") as world:
        client, engine = await world.streaming(FIRST)
        assert (await closed(client, engine, NEXT, frame(DONE))).endswith(event("next") + DONE)
        assert passed.events == 1


# --- a fault in one of them -------------------------------------------------------------------------------------------

BOOM = frame(b": boom\n\n")
OURS: tuple[Edge, ...] = ("native", "wire")


@pytest.mark.parametrize("edge", OURS)
@on_sockets
async def test_a_fault_in_one_stream_ends_that_one_alone(
    tmp_path: Path, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(stream: Streamed, data: bytes, framed: bytes) -> None:
        if b"boom" in data:
            raise ArithmeticError("for this test")
        kept(stream, data, framed)

    kept = Streamed.take
    monkeypatch.setattr(Streamed, "take", take)
    async with hand_fed(tmp_path, edge) as world:
        (first, faulty), (second, engine) = await world.streaming(FIRST), await world.streaming(FIRST)
        faulty.put(BOOM)
        engine.put(NEXT)  # read in the same turn, and behind it
        await second.until(NEXT)
        body = (await first.answer()).body
        assert b"it closed the connection before its answer was whole" in body
        assert [str(told["exception"]) for told in world.faults] == ["for this test"]
        assert not faulty.there.alive
        await engine.say(NEXT, frame(DONE) + END)
        assert (await second.answer()).body == event("first") + event("next") * 2 + DONE


@on_sockets
async def test_a_fault_of_what_has_no_room_gives_no_client_what_is_anothers(
    tmp_path: Path, passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(client: WireProtocol, data: bytes) -> None:
        if faulty and data.endswith(LARGE[-100:]):
            raise ArithmeticError("for this test")
        kept(client, data)

    faulty: list[bool] = []
    kept = WireProtocol.write
    monkeypatch.setattr(WireProtocol, "write", write)
    async with hand_fed(tmp_path, "native") as world:
        (_, first), (client, second) = await world.streaming(FIRST, room=1), await world.streaming(FIRST)
        faulty.append(True)
        said = 1
        while not world.faults:
            first.put(LARGE)
            second.put(NEXT)  # read in the same turn, and written behind it
            await first.is_read()
            await second.is_read()
            said += 1
        await second.say(NEXT, frame(DONE) + END)
        assert (await client.answer()).body == event("first") + event("next") * said + DONE
        assert [str(told["exception"]) for told in world.faults] == ["for this test"]
        assert passed.events > 2


LARGE = frame(event("x" * 20_000))


# --- what is left -----------------------------------------------------------------------------------------------------


def parts() -> Counter[str]:
    """What there is, without a collection, of what a stream is made of."""
    names = {"StreamLine", "Streamed", "WireExchange", "Request", "HttpAnswer"}
    return Counter(name for one in gc.get_objects() if (name := type(one).__name__) in names)


async def filled(client: Client, engine: Engine) -> None:
    """Until the gateway leaves the engine alone, for want of room at the client's."""
    while not engine.there._held:
        engine.put(LARGE)
        await engine.is_read()


@pytest.mark.parametrize("edge", OURS)
@pytest.mark.parametrize("cut", ["by its end", "by its client", "by its engine", "by its clock", "while it is held"])
@on_sockets
async def test_a_stream_leaves_nothing_behind(tmp_path: Path, cut: str, edge: Edge) -> None:
    gc.collect()
    gc.disable()
    before = parts()
    try:
        async with hand_fed(tmp_path, edge) as world:
            client, engine = await world.streaming(FIRST, room=1 if cut == "while it is held" else 0)
            await engine.say(NEXT)
            assert (parts() - before)["StreamLine"] == (edge == "native")
            if cut == "by its end":
                await engine.say(frame(DONE) + END)
                await client.answer()
            elif cut == "by its engine":
                engine.reset()
            elif cut == "by its clock":
                engine.there.abort(UpstreamSlow("for this test"))
            else:
                if cut == "while it is held":
                    await filled(client, engine)
                client.reset()
            await world.line()
            world.connections.clear()
            await until(lambda: parts() == before)
    finally:
        gc.enable()
