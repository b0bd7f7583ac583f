"""Who is cut off when, where a stream is relayed in C (gateway/native/): silence, room, ends, and many at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nexus_gateway import streamed
from nexus_gateway.settings import Edge
from nexus_gateway.streamed import Streamed
from nexus_gateway.wire_exchange import WireExchange

from ..support.hand_fed import Client, Engine, hand_fed
from ..support.heard import heard
from ..support.issuer import until
from ..support.passed_by import DONE, FIRST, LAST, NEXT, OURS, Passed, event, filled, frame, on_sockets, watching

pytest.importorskip("nexus_native", reason="nexus-native is not built here")


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Passed:
    return watching(monkeypatch)


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


@pytest.mark.parametrize("edge", OURS)
@pytest.mark.parametrize("leaves", ["half", "by reset", "by close"])
@on_sockets
async def test_a_client_that_leaves_takes_its_engine_with_it(tmp_path: Path, edge: Edge, leaves: str) -> None:
    async with hand_fed(tmp_path, edge) as world:
        client, engine = await world.streaming(FIRST)
        await engine.say(NEXT)
        await client.until(NEXT)
        {"half": client.half_close, "by reset": client.reset, "by close": client.close}[leaves]()
        await engine.rest()
        assert (await world.line())["status"] == 499
        await until(lambda: not engine.there.alive)


@pytest.mark.parametrize("edge", OURS)
@on_sockets
async def test_an_engine_that_is_silent_too_long_is_cut_off(tmp_path: Path, edge: Edge) -> None:
    async with hand_fed(tmp_path, edge, chunk_seconds=0.1) as world:
        client, engine = await world.streaming(FIRST)
        engine.put(NEXT)
        assert b"it was silent for too long in the middle of its answer" in (await client.answer()).body
        await engine.rest()


@on_sockets
async def test_what_passes_by_breaks_the_silence(tmp_path: Path, passed: Passed) -> None:
    async with hand_fed(tmp_path, "native") as world:
        client, engine = await world.streaming(FIRST)
        streamed, before = engine.there._taker, time.monotonic()
        assert isinstance(streamed, Streamed)
        assert streamed._asked < before
        await engine.say(NEXT)
        assert streamed.patience() > 0
        assert (streamed._asked > before, passed.events) == (True, 1)
        await client.until(NEXT)


@pytest.mark.parametrize("edge", OURS)
@on_sockets
async def test_an_engine_that_never_stops_is_cut_off(tmp_path: Path, edge: Edge) -> None:
    """When the time of the whole request is over, of which little is left once it streams."""
    async with hand_fed(tmp_path, edge) as world:
        client, engine = await world.streaming(FIRST)
        taker = engine.there._taker
        assert isinstance(taker, Streamed)
        taker._deadline = time.monotonic() + 0.5
        engine.there.look_at_time()
        answer = asyncio.ensure_future(client.answer())
        while not answer.done():
            with suppress(ConnectionError):
                await engine.say(NEXT)
            await asyncio.sleep(0)
        assert b"its answer took longer than the whole request may" in answer.result().body


# --- room -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", OURS)
@on_sockets
async def test_a_slow_client_gets_all_of_it_in_order(tmp_path: Path, edge: Edge, passed: Passed) -> None:
    async with hand_fed(tmp_path, edge) as world:
        client, engine = await world.streaming(FIRST, room=1)
        said = event("first")
        for number in range(2):  # once it has room it is relayed as before, until it has none again
            said += event("x" * 20_000) * await filled(client, engine)
            engine.put(frame(event(f"{number}")))
            said += event(f"{number}")
            client.widen()
            while len(client.heard) < len(said):  # frames and a head are more
                assert await client.read()
            await until(lambda: not engine.there._held)
        await engine.say(NEXT, LAST)
        assert (await client.answer()).body == said + event("next") + DONE
        assert (await world.line())["status"] == 200
        assert (passed.lines >= 3) is (edge == "native"), "after each pause it is relayed in C again"


@on_sockets
async def test_nothing_goes_past_to_a_client_that_is_being_closed(tmp_path: Path) -> None:
    """What its transport was given meanwhile is lost: what came after it would stand in its place."""
    async with hand_fed(tmp_path, "native") as world:
        await world.streaming(FIRST)
        (protocol,) = world.protocols
        exchange = protocol._current
        assert isinstance(exchange, WireExchange)
        assert exchange.clear()
        protocol.transport.close()
        assert not exchange.clear()


# --- many at once, and the end of a gateway ---------------------------------------------------------------------------


@on_sockets
async def test_of_many_streams_at_once_each_gets_its_own(tmp_path: Path, passed: Passed) -> None:
    async with hand_fed(tmp_path, "native") as world:
        pairs = [await world.streaming(FIRST) for _ in range(64)]
        for turn in range(50):
            for number, (_, engine) in enumerate(pairs):
                engine.put(frame(event(f"{number} {turn} " + "y" * (number * turn % 97))))
                if (number + turn) % 7 == 0:
                    engine.put(frame(b": %d\n\n" % number))
            for _, engine in pairs:
                await engine.is_read()
        for number, (client, engine) in enumerate(pairs):
            await engine.say(LAST)
            said = [event("first")]
            for turn in range(50):
                said.append(event(f"{number} {turn} " + "y" * (number * turn % 97)))
                said += [b": %d\n\n" % number] if (number + turn) % 7 == 0 else []
            assert (await client.answer()).body == b"".join((*said, DONE))
        assert (passed.lines, passed.events > 64 * 40) == (64, True)


@pytest.mark.parametrize("edge", OURS)
@on_sockets
async def test_a_gateway_that_stops_lets_it_end_and_then_cuts_it(tmp_path: Path, edge: Edge) -> None:
    async with hand_fed(tmp_path, edge) as world:
        (first, ends), (second, goes_on) = await world.streaming(FIRST), await world.streaming(FIRST)
        for protocol in world.protocols:
            protocol.shutdown()
        await ends.say(NEXT, LAST)
        assert (await first.answer()).body == event("first") + event("next") + DONE
        assert not await first.read(), "and its connection is closed"
        await goes_on.say(NEXT)
        await second.until(NEXT)
        for under_way in tuple(world.protocols[1].tasks):
            under_way.cancel()
        await goes_on.rest()
        await second.rest()
        assert not heard(second.heard)[0].whole
