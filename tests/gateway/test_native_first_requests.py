"""The first request over a connection, which Python reads and sends and C hears: told as in Python alone, and as by the
story, whether the engine's connection is there or has to be made. On real sockets."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway import wire
from nexus_gateway.settings import Edge
from nexus_gateway.upstreams.connection import Connection
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.upstreams.protocol import NotConnected

from ..support.hand_fed import HEAD
from ..support.issuer import until
from ..support.over_sockets import Drive, driven, in_a_loop
from ..support.passed_by import FIRST, LAST, NEXT
from ..support.two_ways import ANSWERS, LEAVES, LOST, OK, Told, posted
from .test_native_requests_changes import swap
from .test_native_whole_streams import COUNTED, STREAM, STREAMS, told_alike

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

Story = Callable[[Drive], Awaitable[None]]
BY: dict[str, tuple[Edge, bool]] = {"C": ("native", True), "Python": ("wire", True), "the story": ("wire", False)}
"""An edge, and whether the straight way is open."""


async def by_each(folder: Path, story: Story) -> tuple[dict[str, Told], Drive]:
    """What is told, and how C drove."""
    told, drives = {}, {}
    for name, (edge, straight) in BY.items():
        with pytest.MonkeyPatch.context() as patch:
            if not straight:
                patch.setattr(wire, "set_out", lambda *_: None)
            async with driven(folder / name, edge) as drive:
                await story(drive)
                await drive.rests(drive.clients[-1])
                told[name], drives[name] = await drive.told(), drive
                assert drive.faults == []
                assert all(not state.in_flight for state in drive.gateway.endpoints._states.values())
    return told, drives["C"]


def alike(told: dict[str, Told]) -> None:
    for name in ("Python", "the story"):
        told_alike(replace(told["C"]), replace(told[name]))


async def asked_first(drive: Drive, request: bytes, *answer: Any) -> None:
    """By a client of its own. Behind it another asks, which finds what it has left."""
    await drive.ask(await drive.client(), request, *answer)
    await drive.ask(await drive.client(), posted())


@pytest.mark.parametrize("connected", [False, True], ids=["connects", "connected"])
@pytest.mark.parametrize("kind", ANSWERS)
@in_a_loop
async def test_whatever_an_engine_answers_first_is_told_alike(kind: str, connected: bool, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        if connected:
            await drive.ask(await drive.client(), posted())
        await asked_first(drive, posted(), *ANSWERS[kind])

    told, drive = await by_each(tmp_path, story)
    alike(told)
    assert drive.served >= (2 if connected else 1)


@pytest.mark.parametrize("name", STREAMS)
@in_a_loop
async def test_whatever_an_engine_streams_first_is_told_alike(name: str, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        await asked_first(drive, STREAM, *STREAMS[name])

    told, drive = await by_each(tmp_path, story)
    alike(told)
    assert drive.served >= 1


@in_a_loop
async def test_of_a_first_stream_nothing_stays_in_python(tmp_path: Path) -> None:
    names = {"StraightExchange", "WireExchange", "Request", "HttpAnswer", "Streamed", "EventReader"}

    def parts() -> Counter[str]:
        gc.collect()
        return Counter(name for one in gc.get_objects() if (name := type(one).__name__) in names)

    async with driven(tmp_path / "one", "native") as drive:
        before, comes = parts(), asyncio.Event()
        drive.engine.answers.append((HEAD + FIRST, comes, NEXT, COUNTED + LAST))
        client = await drive.client()
        await client.say(STREAM)
        await client.until(FIRST)
        assert parts() == before
        comes.set()
        assert await client.answers(1) == [200]
        await drive.rests(client)
        assert (drive.served, drive.handed_over) == (1, 0)


@in_a_loop
async def test_the_engine_s_connection_and_the_client_s_are_used_again(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.client()
        for number in range(1, 4):
            assert await drive.ask(client, posted()) == [200] * number
        await drive.ask(await drive.client(), posted())
        assert (drive.served, drive.handed_over, len(drive.engine.made)) == (4, 0, 1)


@pytest.mark.parametrize("answered", [False, True], ids=["new", "used"])
@in_a_loop
async def test_an_engine_that_closes_what_it_is_asked_over_is_asked_again_only_where_it_may_have_been_idle(
    answered: bool, tmp_path: Path
) -> None:
    async def story(drive: Drive) -> None:
        if answered:
            await drive.ask(await drive.client(), posted())
        await drive.ask(await drive.client(), posted(), LOST)

    told, drive = await by_each(tmp_path, story)
    alike(told)
    assert told["C"].client.count(b"HTTP/1.1 502") == (not answered)
    assert len(drive.engine.asked) == (3 if answered else 1)


# --- while it is being connected --------------------------------------------------------------------------------------


def connecting(patch: pytest.MonkeyPatch, until_then: asyncio.Event, fault: NotConnected | None = None) -> list[float]:
    """Every engine takes a connection at `until_then`, or fails with `fault` then. Gives who has tried."""
    connect, tried = HttpUpstream.connect, list[float]()

    async def later(self: HttpUpstream, seconds: float) -> Connection:
        tried.append(seconds)
        await until_then.wait()
        if fault is not None:
            raise fault
        return await connect(self, seconds)

    patch.setattr(HttpUpstream, "connect", later)
    return tried


@pytest.mark.parametrize("request_", [posted(), STREAM], ids=["whole", "stream"])
@in_a_loop
async def test_an_engine_that_takes_no_connection_is_told_of_alike(request_: bytes, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        with pytest.MonkeyPatch.context() as patch:
            comes = asyncio.Event()
            tried = connecting(patch, comes, NotConnected("it does not take connections"))
            for number in range(1, 4):  # its circuit opens with the second failure
                client = await drive.client()
                comes.set()
                await drive.ask(client, request_)
                assert len(tried) == min(number, 2)

    told, _ = await by_each(tmp_path, story)
    alike(told)
    assert told["C"].client.count(b"HTTP/1.1 50") == 3
    assert told["C"].engine == []


@in_a_loop
async def test_a_client_that_leaves_while_the_engine_is_connected_is_told_as_one_that_left(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        with pytest.MonkeyPatch.context() as patch:
            never = asyncio.Event()
            tried = connecting(patch, never)
            client = await drive.client()
            await client.say(posted())
            await until(lambda: bool(tried))
            client.close()
            client.closed = True
            await drive.rests(client)
        await drive.ask(await drive.client(), posted())

    told, _ = await by_each(tmp_path, story)
    alike(told)
    assert told["C"].log.count(b'"status":499') == 1


@pytest.mark.parametrize("change", ["new configuration", "drains", "stops", "asks on"])
@pytest.mark.parametrize("request_", [posted(), STREAM], ids=["whole", "stream"])
@in_a_loop
async def test_it_ends_as_it_began_whatever_changes_meanwhile(change: str, request_: bytes, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        with pytest.MonkeyPatch.context() as patch:
            comes = asyncio.Event()
            tried = connecting(patch, comes)
            client = await drive.client()
            drive.engine.answers.append((HEAD + FIRST, COUNTED + LAST) if request_ == STREAM else (OK,))
            await client.say(request_)
            await until(lambda: bool(tried))
            if change == "new configuration":
                swap(drive)
            elif change == "drains":
                drive.gateway.draining = True
            elif change == "stops":
                assert client.protocol is not None
                client.protocol.shutdown()
            else:
                await client.say(posted())
                await drive.rests_reading(client)
            comes.set()
            await client.answers(2 if change == "asks on" else 1)
            await drive.rests(client)

    told, _ = await by_each(tmp_path, story)
    alike(told)
    assert told["C"].client.count(b"HTTP/1.1 200") == (2 if change == "asks on" else 1)


@in_a_loop
async def test_a_gateway_that_stops_before_c_has_it_closes_the_connection_with_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lend = wire.WireProtocol.lend

    def stopped(self: wire.WireProtocol, *given: Any) -> None:
        self.shutdown()
        lend(self, *given)

    monkeypatch.setattr(wire.WireProtocol, "lend", stopped)
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.client()
        assert await drive.ask(client, posted()) == [200]
        assert not await client.read(), "it is closed"
        assert drive.served == 0


@in_a_loop
async def test_a_client_that_leaves_a_first_request_is_told_as_one_that_left(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        await asked_first(drive, posted(), LEAVES)

    told, drive = await by_each(tmp_path, story)
    alike(told)
    assert (drive.handed_over, told["C"].log.count(b'"status":499')) == (1, 1)


@in_a_loop
async def test_what_is_refused_first_is_not_for_c(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        for request in (posted("nobody"), posted(model="missing"), posted(max_tokens=1_000_000)):
            await drive.ask(await drive.client(), request)

    told, drive = await by_each(tmp_path, story)
    alike(told)
    assert drive.served == 0
