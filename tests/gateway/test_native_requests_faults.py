"""Faults of the gateway's own while C has a request: each ends one connection, is told, and leaves nothing counted.
And nothing of a request, or of a connection, is kept behind its end."""

from __future__ import annotations

import asyncio
import errno
import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.straight import compiled
from nexus_gateway.straight.compiled import Compiled
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.wire import WireProtocol

from ..support.hand_fed import HEAD
from ..support.issuer import until
from ..support.over_sockets import Client, Drive, driven, in_a_loop, stopped
from ..support.passed_by import FIRST, LAST, NEXT, event
from ..support.two_ways import ANSWERS, IDS, LEAVES, LOST, OK, posted

nexus_native: Any = pytest.importorskip("nexus_native", reason="nexus-native is not built here")


class Fault(Exception):
    """Of this test."""


def failing(*_: object, **__: object) -> Any:
    raise Fault


PLACES: dict[str, tuple[type, str]] = {
    "engine": (Connection, "begin_engine_line"),
    "answer": (WireProtocol, "first_lines"),
    "form": (Compiled, "log_forms"),
    "goes-on": (WireProtocol, "go_on_from"),
}


class Switched:
    """What is kept by who calls it, and fails from a time on."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self._inner, self.fails = inner, False

    def __call__(self, *given: Any) -> Any:
        return failing() if self.fails else self._inner(*given)


@pytest.mark.parametrize("place", PLACES)
@in_a_loop
async def test_a_fault_ends_one_connection_and_nothing_stays_counted(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        await drive.connected(2)
        asked = posted(model="patient") if place == "form" else posted()
        client, other = await drive.taken_over(posted()), await drive.taken_over(posted("free"))
        if place == "form":
            await drive.ask(client, asked)  # so that C finds its way
            await drive.ask(client, posted())
            await drive.ask(client, posted())
        if place == "engine":
            for connection in drive.engine.there.values():
                connection.end_line()
        if place == "answer":
            drive.protocols[0].server_state.default_headers = [(b"date", b"tomorrow")]
        with monkeypatch.context() as patch:
            patch.setattr(*PLACES[place], failing)
            if place == "form":
                for way in drive.gateway.served.current.standing.ways.values():
                    getattr(way, "log_forms", {}).clear()
            drive.engine.answers.append(ANSWERS["500"] if place == "goes-on" else (OK,))
            await client.say(asked)
            await client.rest()
        client.closed = True
        await _is_well(drive, other)


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@in_a_loop
async def test_a_fault_where_limits_are_counted_too(back: bool, tmp_path: Path) -> None:
    clock, comes = Switched(stopped), asyncio.Event()
    async with driven(tmp_path / "one", "native", clock=clock) as drive:
        await drive.connected(2)
        client, other = await drive.taken_over(posted()), await drive.taken_over(posted("free"))
        clock.fails = not back
        if back:
            drive.engine.answers.append((comes, OK))
        known = len(drive.engine.asked)
        await client.say(posted())
        if back:
            await until(lambda: len(drive.engine.asked) > known)
            clock.fails = True
            comes.set()
        await client.rest()
        client.closed = True
        await _is_well(drive, other)


@in_a_loop
async def test_a_fault_where_the_rest_of_a_body_was_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised by the clock that all share."""

    def receives(self: WireProtocol, data: bytes) -> None:
        kept(self, failing() if self is client.protocol else data)

    kept = WireProtocol.data_received
    async with driven(tmp_path / "one", "native") as drive:
        await drive.connected(2)
        client, other = await drive.taken_over(posted()), await drive.taken_over(posted("free"))
        with monkeypatch.context() as patch:
            patch.setattr(WireProtocol, "data_received", receives)
            await client.say(posted()[:-9])
            await asyncio.wait_for(client.rest(), 20)
        client.closed = True
        await _is_well(drive, other)


@in_a_loop
async def test_what_comes_behind_a_request_that_ended_by_a_fault_begins_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comes = asyncio.Event()
    async with driven(tmp_path / "one", "native") as drive:
        await drive.connected(3)
        client, other = await drive.taken_over(posted()), await drive.taken_over(posted("free"))
        drive.engine.answers.append((comes, OK))
        known = len(drive.engine.asked)
        await client.say(posted())
        await until(lambda: len(drive.engine.asked) > known)
        with monkeypatch.context() as patch:
            patch.setattr(WireProtocol, "go_on_from", failing)
            await client.say(posted())
            await client.rest()
        client.closed = True
        await drive.rests(client)
        comes.set()
        await _is_well(drive, other)
        assert b'"status":499' not in (await drive.told()).log


@in_a_loop
async def test_where_nothing_can_be_told_answers_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.taken_over(posted())
        with monkeypatch.context() as patch:
            patch.setattr(type(drive.gateway.logs), "write_text", failing)
            assert await drive.ask(client, posted()) == [200] * 3
        await _is_well(drive, client)


@in_a_loop
async def test_what_c_could_not_take_over_is_python_s_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(nexus_native.ClientLine):
        take_over = failing

    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.client()
        with monkeypatch.context() as patch:
            patch.setattr(nexus_native, "ClientLine", Failing)
            assert await drive.ask(client, posted()) == [200]
        assert (drive.served, drive.handed_over) == (0, 0)
        await _is_well(drive, client)


@pytest.mark.parametrize("line", ["ClientLine", "EngineLine", "StreamLine"])
@in_a_loop
async def test_where_no_more_sockets_can_be_watched_all_goes_by_python(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(getattr(nexus_native, line)):  # type: ignore[misc]  # which of them is the case
        def __init__(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "for this test")

    monkeypatch.setattr(nexus_native, line, Full)
    stream = HEAD + FIRST, NEXT, LAST
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.client()
        assert await drive.ask(client, posted()) == [200]
        assert await drive.ask(client, posted(stream=True), *stream) == [200] * 2
        assert await drive.ask(client, posted(stream=True, more=IDS), *stream) == [200] * 3
        assert await drive.ask(client, posted()) == [200] * 4
        assert client.heard.count(event("next")) == 2, "the streams are whole"
        assert (drive.faults, drive.gateway.parallel.under_way) == ([], {})


URL = {"url": "http://engine.test/" + "x" * (1 << 20)}
LONG = {"upstreams": {"long": URL}, "routes": {"long": {"strategy": "direct", "upstream": "long"}}}


@in_a_loop
async def test_what_is_longer_than_c_has_room_for_goes_by_python(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native", LONG) as drive:
        client = await drive.client()
        for number in (1, 2, 3):
            assert await drive.ask(client, posted(model="long")) == [200] * number
        assert (drive.served, drive.faults) == (0, [])


@in_a_loop
async def test_where_c_has_no_room_one_connection_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_LARGEST_HEAD", 1 << 30)
    async with driven(tmp_path / "one", "native", LONG) as drive:
        client, other = await drive.client(), await drive.taken_over(posted("free"))
        for number in (1, 2):
            assert await drive.ask(client, posted(model="long")) == [200] * min(number, 1)
        client.closed = True
        await _is_well(drive, other, MemoryError)


async def _is_well(drive: Drive, client: Client, fault: type[BaseException] = Fault) -> None:
    """One fault was told, the other connection is as before, and nothing is counted as under way."""
    await drive.rests(client)
    assert [type(told["exception"]) for told in drive.faults] == [fault]
    before = drive.served
    assert set(await drive.ask(client, posted("free"))) == {200}
    assert drive.served >= before
    assert (drive.gateway.metrics.in_flight, drive.gateway.parallel.under_way) == (0, {})
    assert all(not state.in_flight for state in drive.gateway.endpoints._states.values())


# --- what is kept -----------------------------------------------------------------------------------------------------

OURS = ("ClientLine", "EngineLine", "WireProtocol", "Connection", "StraightExchange", "WireExchange", "NativeWay")


def kept(besides: set[int]) -> Counter[str]:
    return Counter(type(one).__qualname__ for one in gc.get_objects() if _is_ours(one) and id(one) not in besides)


def _is_ours(one: object) -> bool:
    return type(one).__qualname__ in OURS


@in_a_loop
async def test_clients_that_come_and_go_leave_nothing_for_the_collector(tmp_path: Path) -> None:
    gc.collect()
    others = {id(one) for one in gc.get_objects() if _is_ours(one)}
    async with driven(tmp_path / "one", "native") as drive:
        await drive.connected(1)
        await _comes_and_goes(drive, OK)
        before = kept(others)
        gc.disable()
        try:
            for answer in (OK, *ANSWERS["500"], LOST, LEAVES) * 5:
                await _comes_and_goes(drive, answer)
                drive.gateway.breakers.circuits.clear()
            await _comes_and_goes(drive, OK)
            await until(lambda: kept(others) <= before)
        finally:
            gc.enable()
        assert (before["NativeWay"], before["Connection"], before["EngineLine"]) == (1, 1, 1)
        assert drive.served >= 1


async def _comes_and_goes(drive: Drive, answer: object) -> None:
    client = await drive.taken_over(posted())
    await drive.ask(client, posted(), answer)
    for one in drive.clients:
        one.close()
    drive.clients.clear()
    await until(lambda: all(protocol.transport.is_closing() for protocol in drive.protocols))
    drive.protocols.clear()
    drive.engine.there = {at: one for at, one in drive.engine.there.items() if one.alive}


class Clocks:
    """The loop, but that what is to be called at a time is called when `ring` says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self.running = loop, list[Clock]()

    def call_at(self, at: float, callback: Callable[[], None]) -> Clock:
        self.running.append(clock := Clock(at, callback, self.running))
        return clock

    def ring(self) -> None:
        first = min(self.running, key=lambda clock: clock.at)
        first.cancel()
        first.callback()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@dataclass(eq=False)
class Clock:
    at: float
    callback: Callable[[], None]
    running: list[Clock]

    def cancel(self) -> None:
        self.running.remove(self)


@in_a_loop
async def test_one_clock_runs_for_all_deadlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a request with a shorter one comes behind others."""
    clocks, made = Clocks(asyncio.get_running_loop()), nexus_native.Door
    monkeypatch.setattr(nexus_native, "Door", lambda plane, gateway, loop, *given: made(plane, gateway, clocks, *given))
    async with driven(tmp_path / "one", "native", QUICK) as drive:
        await drive.connected(2)
        patient, quick = await drive.taken_over(posted()), await drive.taken_over(posted(model="quick"))
        for _ in range(4):
            comes = asyncio.Event()
            drive.engine.answers.extend([(comes, OK)] * 2)
            for number, (client, model) in enumerate([(patient, "chat"), (quick, "quick")], 1):
                await client.say(posted(model=model))
                await until(lambda number=number: drive.gateway.metrics.in_flight == number)
            clocks.ring()
            assert len(clocks.running) == 1
            comes.set()
            await drive.rests(quick)
        assert drive.served == 8
        clocks.ring()
        assert clocks.running == [], "nobody waits"


QUICK = {"routes": {"quick": {"strategy": "direct", "upstream": "engine", "timeouts": {"total_seconds": 5}}}}
