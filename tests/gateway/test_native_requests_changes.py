"""What changes while C has a client's connection: configuration, keys, circuits, limits, and the gateway's end."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_gateway import garbage_collection
from nexus_gateway.gateway import _named
from nexus_gateway.keys import Key, digest
from nexus_gateway.snapshot import Snapshot

from ..support.issuer import until
from ..support.over_sockets import Client, Drive, driven, in_a_loop, on_both
from ..support.two_ways import ANSWERS, OK, keys, posted, table

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

NEW = {"routes": {"added": {"strategy": "direct", "upstream": "engine"}}}


def swap(drive: Drive) -> Snapshot:
    """To another revision, as the watcher and its loop do."""
    drive.gateway.served.current = snapshot = table(drive.place, NEW)
    drive.gateway.forget(_named(snapshot))
    return snapshot


def revisions(client: bytes) -> list[bytes]:
    return [line for line in client.split(b"\r\n") if line.startswith(b"x-nexus-revision")]


async def straight(drive: Drive, *, by_c: bool) -> Client:
    """Whose next request goes straight: by C, or by Python, which has had none of it before."""
    if by_c:
        return await drive.taken_over(posted())
    await drive.connected(1)
    return await drive.client()


# --- configuration ----------------------------------------------------------------------------------------------------


@in_a_loop
async def test_a_new_configuration_holds_for_the_next_request_of_a_connection_that_c_has(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await drive.ask(client, posted())
        swap(drive)
        for _ in range(4):
            await drive.ask(client, posted())
        await drive.ask(client, posted(model="added"))

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 3
    told = revisions(native.client)
    assert (len(told), len(set(told[:3])), len(set(told[3:])), told[2] != told[3]) == (8, 1, 1, True)


@pytest.mark.parametrize("by_c", [True, False], ids=["by-c", "by-python"])
@in_a_loop
async def test_a_request_that_is_under_way_ends_as_it_began_and_the_next_one_is_new(by_c: bool, tmp_path: Path) -> None:
    """Also where it went straight in Python, and C takes the connection behind it."""

    async def story(drive: Drive) -> None:
        client = await straight(drive, by_c=by_c)
        comes = asyncio.Event()
        drive.engine.answers.append((comes, OK))
        asked = asyncio.create_task(drive.ask(client, posted()))
        await until(lambda: drive.gateway.metrics.in_flight == 1)
        swap(drive)
        comes.set()
        await asked
        for _ in range(3):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    told = revisions(native.client)
    assert len(set(told[:-3])) == len(set(told[-3:])) == 1
    assert told[-4] != told[-3]


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any configuration is a large one, that the collector does not look at; and it does not run by itself."""
    monkeypatch.setattr(garbage_collection, "LARGE", 0)
    yield
    gc.enable()


@in_a_loop
async def test_a_configuration_that_is_replaced_is_free_though_its_client_rests(tmp_path: Path, frozen: None) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.taken_over(posted())
        for _ in range(3):
            await drive.ask(client, posted())
            left = weakref.ref(drive.gateway.served.current)
            gc.disable()
            swap(drive)
            await drive.rests(client)
            assert left() is None, "while it is not looked for by the collector"
            gc.enable()
            for _ in range(2):
                await drive.ask(client, posted())
        assert drive.served >= 3


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["between", "by-c", "by-python"])
@in_a_loop
async def test_a_key_that_is_taken_out_opens_nothing_from_then_on(when: str, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client, ring = await straight(drive, by_c=when != "by-python"), drive.gateway.known.ring
        fewer = {found: key for found, key in ring.keys.items() if key.id != "key"}
        if when == "between":
            await drive.ask(client, posted())
            ring.keys = fewer
        else:
            comes = asyncio.Event()
            drive.engine.answers.append((comes, OK))
            asked = asyncio.create_task(drive.ask(client, posted()))
            await until(lambda: drive.gateway.metrics.in_flight == 1)
            ring.keys = fewer
            comes.set()
            await asked
        assert (await drive.ask(client, posted()))[-1] == 401
        assert (await drive.ask(client, posted()))[-1] == 401
        assert (await drive.ask(client, posted("free")))[-1] == 200

    native, wire, _ = await on_both(tmp_path, story)
    assert native == wire
    assert native.client.count(b"HTTP/1.1 401") == 2


@in_a_loop
async def test_what_a_key_may_do_is_asked_anew_when_the_keys_are_read_again(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client, ring = await drive.taken_over(posted()), drive.gateway.known.ring
        ring.keys = keys()
        for _ in range(3):
            await drive.ask(client, posted())
        ring.keys = {**keys(), digest(b"key"): Key("key", frozenset({"other"}), admin=False)}
        assert (await drive.ask(client, posted()))[-1] == 403

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 3


@in_a_loop
async def test_a_key_whose_time_is_over_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()

    async def story(drive: Drive) -> None:
        with monkeypatch.context() as patch:
            ring = drive.gateway.known.ring
            ring.keys = {found: replace(key, expires=now + 1000) for found, key in keys().items()}
            client = await drive.taken_over(posted())
            assert (await drive.ask(client, posted()))[-1] == 200
            patch.setattr(time, "time", lambda: now + 1000)
            assert (await drive.ask(client, posted()))[-1] == 401

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 1


# --- who is let through -----------------------------------------------------------------------------------------------


@in_a_loop
async def test_an_open_circuit_holds_for_connections_that_c_has(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        first, other = await drive.taken_over(posted()), await drive.taken_over(posted())
        for _ in range(2):
            await drive.ask(first, posted(), *ANSWERS["500"])
        await drive.ask(other, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 1
    assert native.client.count(b"HTTP/1.1 503") == 1


@in_a_loop
async def test_a_good_answer_shuts_the_circuit_of_failures_that_came_meanwhile(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        await drive.connected(2)
        first, other = await drive.taken_over(posted()), await drive.taken_over(posted())
        comes = asyncio.Event()
        drive.engine.answers.append((comes, OK))
        asked = asyncio.create_task(drive.ask(first, posted()))
        await until(lambda: drive.gateway.metrics.in_flight == 1)
        drive.engine.answers.append(ANSWERS["500"])
        await other.say(posted())
        await other.answers(3)
        assert "engine" in drive.gateway.breakers.circuits
        comes.set()
        await asked
        assert drive.gateway.breakers.circuits == {}

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 2


@in_a_loop
async def test_one_more_than_may_run_at_once_is_refused(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        first, other = await drive.taken_over(posted("single")), await drive.taken_over(posted("single"))
        comes = asyncio.Event()
        drive.engine.answers.append((comes, OK))
        await first.say(posted("single"))
        await until(lambda: drive.gateway.metrics.in_flight == 1)
        await other.say(posted("single"))
        assert (await other.answers(3))[-1] == 429
        comes.set()
        await first.answers(3)

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 1


@in_a_loop
async def test_tokens_run_out_at_the_same_request(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted(max_tokens=40_000))
        for _ in range(2):
            await drive.ask(client, posted(max_tokens=40_000))
            drive.limiter.buckets["key"].tokens += 60_000

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert (served, native.client.count(b"HTTP/1.1 429")) == (1, 1)


@pytest.mark.parametrize("drains", [True, False], ids=["drains", "has-too-much"])
@in_a_loop
async def test_a_gateway_that_drains_or_has_too_much_to_do_turns_away(drains: bool, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client, others = await drive.taken_over(posted()), 0 if drains else drive.gateway.most_in_flight
        drive.gateway.draining = drains
        drive.gateway.metrics.in_flight += others
        await client.say(posted())
        assert (await client.answers(3))[-1] == 503
        drive.gateway.metrics.in_flight -= others

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 0


@pytest.mark.parametrize("cut", [False, True], ids=["in-time", "too-late"])
@in_a_loop
async def test_what_is_under_way_when_the_gateway_stops_is_finished_or_cut_and_told(cut: bool, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        await drive.connected(2)
        clients = [await drive.taken_over(posted()) for _ in range(3)]
        comes = asyncio.Event()
        drive.engine.answers.extend([(comes, OK)] * 2)
        for client in clients[:2]:
            await client.say(posted())
        await until(lambda: len(drive.engine.asked) == 10)
        drive.gateway.draining = True
        drive.gateway.go_on_in_python()
        for protocol in drive.protocols:
            protocol.shutdown()
        if cut:
            for task in tuple(drive.protocols[0].server_state.tasks):
                task.cancel()
        else:
            comes.set()
        for client in clients:
            await client.rest()
            client.closed = True

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 2
    assert native.log.count(b'"status":200') == (8 if cut else 10)
