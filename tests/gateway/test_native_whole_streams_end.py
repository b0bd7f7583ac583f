"""What happens while a stream goes by in C (gateway/native/) from its request on: its client leaves or asks on, the
configuration changes, and many go by at once. On real sockets, once on each edge."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ..support.hand_fed import HEAD
from ..support.heard import heard
from ..support.issuer import until
from ..support.over_sockets import Drive, driven, in_a_loop, on_both
from ..support.passed_by import DONE, FIRST, LARGE, LAST, NEXT, event, frame
from ..support.two_ways import LEAVES, posted
from .test_native_requests_changes import swap
from .test_native_whole_streams import COUNTED, STREAM, told_alike

pytest.importorskip("nexus_native", reason="nexus-native is not built here")


@pytest.mark.parametrize(
    "answer",
    [(LEAVES,), (HEAD, LEAVES), (HEAD + FIRST, LEAVES), (HEAD + FIRST, NEXT[:9], LEAVES)],
)  # fmt: skip
@in_a_loop
async def test_a_client_that_leaves_is_told_of_alike(answer: tuple[Any, ...], tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await drive.ask(client, STREAM, *answer)
        await until(lambda: any(one.gone for one in drive.engine.made))

    native, wire, served = await on_both(tmp_path, story)
    told_alike(native, wire)
    assert (served, native.log.count(b'"status":499')) == (1, 1)


@pytest.mark.parametrize("change", ["asks on", "new configuration", "drains"])
@in_a_loop
async def test_a_stream_ends_as_it_began_whatever_changes_meanwhile(change: str, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        comes = asyncio.Event()
        drive.engine.answers.append((HEAD + FIRST, comes, NEXT, COUNTED + LAST))
        await client.say(STREAM)
        await client.until(FIRST)
        if change == "asks on":
            await client.say(posted())
            await drive.rests_reading(client)
        elif change == "new configuration":
            swap(drive)
        else:
            drive.gateway.draining = True
        comes.set()
        await client.answers(4 if change == "asks on" else 3)
        await drive.rests(client)

    native, wire, served = await on_both(tmp_path, story)
    told_alike(native, wire)
    assert served >= 1


@in_a_loop
async def test_a_client_that_reads_late_gets_a_frame_that_came_in_part_behind_what_it_had_no_room_for(
    tmp_path: Path,
) -> None:
    pieces = [NEXT[:60], *[NEXT[60:] + LARGE + NEXT[:60]] * 12, NEXT[60:]]

    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        client.narrow()
        drive.engine.answers.append((HEAD + FIRST, *pieces, LAST))
        await client.say(STREAM)
        await until(lambda: drive.edge == "wire" or drive.handed_over == 1)
        await client.answers(3)
        await drive.rests(client)

    native, wire, served = await on_both(tmp_path, story)
    assert (
        heard(native.client)[-1].body
        == event("first") + (event("next") + event("x" * 20_000)) * 12 + event("next") + DONE
    )
    told_alike(native, wire)
    assert served == 1


@in_a_loop
async def test_an_engine_that_is_silent_for_too_long_is_cut_off_then(tmp_path: Path) -> None:
    """Also where its first byte might have taken longer."""
    timeouts = {"chunk_seconds": 2, "first_byte_seconds": 60}
    chat = {"strategy": "direct", "upstream": "engine", "timeouts": timeouts}
    async with driven(tmp_path / "one", "native", {"routes": {"chat": chat}}) as drive:
        client, never = await drive.taken_over(posted()), asyncio.Event()
        await drive.ask(client, STREAM, HEAD + FIRST, NEXT, never)
        assert b"it was silent for too long in the middle of its answer" in client.heard
        assert (drive.served, drive.gateway.parallel.under_way) == (1, {})
        never.set()


@in_a_loop
async def test_of_many_that_come_byte_by_byte_each_gets_its_own(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        await drive.connected(8)
        clients = [await drive.taken_over(posted()) for _ in range(8)]
        drive.handed_over = 0
        for turn in range(3):
            for number, client in enumerate(clients):
                data = FIRST + frame(event(f"{number} {turn}")) + LAST
                drive.engine.answers.append((HEAD, *(data[at : at + 1] for at in range(len(data)))))
                await client.say(STREAM)
                await until(lambda: not drive.engine.answers)
            for number, client in enumerate(clients):
                assert await client.answers(3 + turn) == [200] * (3 + turn)
                assert event(f"{number} {turn}") in client.heard
            await drive.rests(clients[0])
        assert (drive.served, drive.handed_over, drive.faults) == (24, 0, [])
        assert (drive.gateway.parallel.under_way, drive.gateway.metrics.in_flight) == ({}, 0)


@in_a_loop
async def test_many_clients_that_leave_at_once_are_each_told_of(tmp_path: Path) -> None:
    """More than are heard in one turn. Who stays is served."""
    many = {"policies": {"free": {"max_parallel": 200}}}
    async with driven(tmp_path / "one", "native", many) as drive:
        clients, never, comes = [await drive.client() for _ in range(101)], asyncio.Event(), asyncio.Event()
        for number, client in enumerate(clients):
            drive.engine.answers.append((HEAD + FIRST, never if number else comes, LAST))
            await client.say(posted("free", stream=True))
            await client.until(FIRST)
        stays, *leave = clients
        for client in leave:
            client.close()
        await until(lambda: drive.gateway.metrics.in_flight == 1)
        comes.set()
        assert await stays.answers(1) == [200]
        await drive.rests(stays)
        told = await drive.told()
        assert (told.log.count(b'"status":499'), told.log.count(b'"status":200'), told.parallel) == (100, 1, {})
        assert sum(one.gone for one in drive.engine.made) == 100
        never.set()
