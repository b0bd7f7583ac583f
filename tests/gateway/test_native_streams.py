"""Streams that are relayed in C (gateway/native/): on real sockets, with an engine whose every byte is the test's, and
beside what Python does with the same bytes."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import pytest
import uvloop

from nexus_gateway import streamed
from nexus_gateway.settings import Edge
from nexus_gateway.streamed import Streamed
from nexus_gateway.upstreams.protocol import UpstreamSlow
from nexus_gateway.wire import WireProtocol
from nexus_gateway.wire_exchange import WireExchange

from ..support.hand_fed import END, Client, Engine, World, hand_fed
from ..support.heard import heard
from ..support.issuer import until
from .test_two_edges import OURS, alike, figures_of

nexus_native = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

P = ParamSpec("P")
_ID = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})\b")
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
    return watching(monkeypatch)


def watching(monkeypatch: pytest.MonkeyPatch) -> Passed:
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


# --- whatever engines send --------------------------------------------------------------------------------------------


class Case(NamedTuple):
    pieces: tuple[bytes, ...]
    """After the head and the first event; each is read before the next comes."""
    end: str = ""
    """What the engine does then."""


LAST = frame(DONE) + END
NULL = frame(b'data: {"choices": [], "usage": null}\n\n')
COUNTED = frame(b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\n')
PADDED = event("x" * (0xAB - len(event(""))))
LARGE = frame(event("x" * 20_000))
HUGE = frame(event("x" * 200_000))
CASES = {
    "one by one": Case((NEXT, NEXT, NEXT, frame(DONE), END)),
    "at once": Case((NEXT + NEXT + NEXT + LAST,)),
    "byte by byte": Case(tuple(bytes([byte]) for byte in NEXT + NEXT + frame(DONE) + END)),
    "two frames and a half": Case((NEXT + NEXT + NEXT[:30], NEXT[30:] + NEXT, LAST)),
    "cut in a size": Case((NEXT + NEXT[:1], NEXT[1:], NEXT[:2], NEXT[2:] + NEXT[:3], NEXT[3:] + NEXT, LAST)),
    "cut behind an event": Case((NEXT[:-2], NEXT[-2:-1], NEXT[-1:] + NEXT, LAST)),
    "upper case": Case((NEXT.replace(b"%x" % len(event("next")), b"%X" % len(event("next"))), NEXT, LAST)),
    "both cases": Case((b"aB\r\n%b\r\n" % PADDED, b"ab\r\n%b\r\n" % PADDED, b"AB\r\n%b\r\n" % PADDED, LAST)),
    "leading zeros": Case((NEXT, b"00" + NEXT, NEXT, LAST)),
    "extensions": Case((NEXT, NEXT.replace(b"\r\n", b";a=1\r\n", 1), NEXT, NEXT, LAST)),
    "several lines": Case((NEXT, frame(b"event: delta\nid: 7\n" + event("more")), NEXT, LAST)),
    "several data lines": Case((NEXT, frame(b'data: {"a":\ndata: 1}\n\n'), NEXT, LAST)),
    "comments": Case((NEXT, frame(b": ping\n\n"), NEXT + frame(b": ping\n\n") + NEXT, LAST)),
    "ends of line": Case((NEXT, frame(b'data: {"a": 1}\r\n\r\n'), NEXT, frame(b'data: {"a": 1}\r\r'), NEXT, LAST)),
    "two events in a frame": Case((NEXT, frame(event("one") + event("two")), NEXT, LAST)),
    "an event in two frames": Case((NEXT, frame(event("one")[:9]), frame(event("one")[9:]), NEXT, LAST)),
    "an event in two frames at once": Case((NEXT + frame(event("one")[:9]) + frame(event("one")[9:]) + NEXT, LAST)),
    "a frame's worth of ends": Case((NEXT, frame(b"\n\n"), NEXT, LAST)),
    "no object": Case((NEXT, frame(b"data: [1]\n\n"), frame(b"data: {broken}\n\n"), NEXT, LAST)),
    "usage": Case((NULL, NULL + COUNTED, NEXT + NULL, LAST)),
    "usage at the end": Case((NEXT, NULL, COUNTED + LAST)),
    "an error": Case((NEXT, frame(b'data: {"error": {"message": "no"}}\n\n'), NEXT)),
    "no error": Case((NEXT, frame(b'data: {"text": "an error", "error": null}\n\n'), NEXT, LAST)),
    "no JSON where it counts": Case((NEXT, frame(b'data: {"usage": {\n\n'), NEXT)),
    "behind its end mark": Case((NEXT, frame(DONE), NEXT)),
    "behind its end mark at once": Case((NEXT, frame(DONE) + NEXT, END)),
    "an end without its mark": Case((NEXT, END)),
    "a trailer": Case((NEXT, frame(DONE) + b"0\r\nx-more: 1\r\n\r\n")),
    "no frame": Case((NEXT, b"nothing\r\n")),
    "a wrong size": Case((NEXT, b"5\r\n" + event("next") + b"\r\n")),
    "large": Case((LARGE, HUGE, NEXT, LAST)),
    "it closes": Case((NEXT,), "closes"),
    "it closes in a frame": Case((NEXT + NEXT[:20],), "closes"),
    "it is reset": Case((NEXT,), "is reset"),
}


REFRAMED = ("two frames and a half", "large", "it closes in a frame")
"""Whole frames before a part of one, which Python joins with it: what of a stream is one frame is each hop's own."""


class Told(NamedTuple):
    answers: dict[str, bytes]
    """With their frames."""
    lines: list[str]
    audit: list[str]
    figures: dict[str, float]
    passed: int


async def relayed(case: Case, world: World) -> bytes:
    client, engine = await world.streaming(FIRST)
    for piece in case.pieces:
        await engine.say(piece)
    if case.end == "closes":
        engine.close()
    elif case.end:
        engine.reset()
    return _ID.sub(b"ID", await client.whole())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[Edge, Told]:
    async def by(edge: Edge, passed: Passed) -> Told:
        async with hand_fed(tmp_path_factory.mktemp(edge), edge) as world:
            answers = {name: await relayed(case, world) for name, case in CASES.items()}
            await until(lambda: len(world.lines()) == len(CASES))
            assert world.faults == []
            return Told(
                answers, alike(world.lines()), alike(world.audited()), figures_of(await world.figures()), passed.events
            )

    def watched(edge: Edge) -> Told:
        with pytest.MonkeyPatch.context() as patch:
            return uvloop.run(asyncio.wait_for(by(edge, watching(patch)), 60))

    return {edge: watched(edge) for edge in OURS}


@pytest.mark.parametrize("name", CASES)
def test_what_engines_send_goes_on_the_same(told: dict[Edge, Told], name: str) -> None:
    native, wire = told["native"].answers[name], told["wire"].answers[name]
    assert [one.same() for one in heard(native)] == [one.same() for one in heard(wire)]
    assert (native == wire) is (name not in REFRAMED)


def test_it_is_told_the_same(told: dict[Edge, Told]) -> None:
    native, wire = told["native"], told["wire"]
    assert native.lines == wire.lines
    assert native.audit == wire.audit
    assert native.figures == wire.figures


def test_much_of_it_has_passed_by(told: dict[Edge, Told]) -> None:
    assert (told["native"].passed > len(CASES), told["wire"].passed) == (True, 0)


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
    async with hand_fed(tmp_path, edge, total_seconds=0.5) as world:
        client, engine = await world.streaming(FIRST)
        answer = asyncio.ensure_future(client.answer())
        while not answer.done():
            with suppress(ConnectionError):
                await engine.say(NEXT)
            await asyncio.sleep(0)
        assert b"its answer took longer than the whole request may" in answer.result().body


# --- room -------------------------------------------------------------------------------------------------------------


async def filled(client: Client, engine: Engine) -> int:
    """Until the gateway leaves the engine alone, for want of room at the client's: events that it took."""
    events = 0
    while not engine.there._held:
        engine.put(LARGE)
        await engine.is_read()
        events += 1
    return events


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


# --- a fault in one of them -------------------------------------------------------------------------------------------

BOOM = frame(b": boom\n\n")


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


# --- what is left -----------------------------------------------------------------------------------------------------


def parts() -> Counter[str]:
    """What there is, without a collection, of what a stream is made of."""
    names = {"StreamLine", "Streamed", "WireExchange", "Request", "HttpAnswer"}
    return Counter(name for one in gc.get_objects() if (name := type(one).__name__) in names)


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
