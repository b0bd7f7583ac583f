"""What happens just before C is given the first request over a connection, and just after: all is told as in Python
alone, and as by the story. On real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.wire import WireProtocol

from ..support.hand_fed import HEAD
from ..support.heard import heard
from ..support.issuer import until
from ..support.over_sockets import Client, Drive, driven, in_a_loop
from ..support.passed_by import FIRST, LAST, NEXT
from ..support.two_ways import OK, posted
from .test_native_first_requests import alike, by_each
from .test_native_requests_changes import swap
from .test_native_whole_streams import COUNTED, STREAM

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

STREAMED = HEAD + FIRST, NEXT, COUNTED + LAST


def key_is_taken_out(drive: Drive, client: Client) -> None:
    ring = drive.gateway.known.ring
    ring.keys = {found: key for found, key in ring.keys.items() if key.id != "key"}


def circuit_opens(drive: Drive, client: Client) -> None:
    for _ in range(2):
        drive.gateway.breakers.failed("engine", 0.0)


def pool_closes(drive: Drive, client: Client) -> None:
    for pool in drive.gateway._pools.values():
        pool.close()


def client_is_cut_off(drive: Drive, client: Client) -> None:
    assert client.protocol is not None
    client.protocol.transport.abort()


CHANGES: dict[str, Callable[[Drive, Client], object]] = {
    "nothing": lambda drive, client: None,
    "new configuration": lambda drive, client: swap(drive),
    "key is taken out": key_is_taken_out,
    "circuit opens": circuit_opens,
    "pool closes": pool_closes,
    "client leaves": lambda drive, client: client.close(),
    "client is cut off": client_is_cut_off,
    "client asks on": lambda drive, client: client.say_at_once(posted()),
    "client begins to ask on": lambda drive, client: client.say_at_once(posted()[:50]),
    "goes on in Python": lambda drive, client: drive.gateway.go_on_in_python(),
}


@pytest.mark.parametrize("request_", [posted(), STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@in_a_loop
async def test_what_changes_about_its_handover_is_told_alike(
    before: bool, change: str, request_: bytes, tmp_path: Path
) -> None:
    changes, by_c = CHANGES[change], list[str]()

    async def story(drive: Drive) -> None:
        with pytest.MonkeyPatch.context() as patch:
            client, comes, lend = await drive.client(), asyncio.Event(), WireProtocol.lend
            changed = asyncio.Event()

            def lends(wire: WireProtocol, *given: Any) -> None:
                ours = wire is client.protocol and not changed.is_set()
                if before and ours:
                    changes(drive, client)
                lend(wire, *given)
                if not before and ours:
                    changes(drive, client)
                if ours:
                    changed.set()

            patch.setattr(WireProtocol, "lend", lends)
            drive.engine.answers.append((comes, *(STREAMED if request_ == STREAM else (OK,))))
            await client.say(request_)
            if drive.edge == "native":
                await changed.wait()
                by_c.append(change)
            else:
                await until(lambda: len(drive.engine.asked) == 1)
                changes(drive, client)
            if change in ("client leaves", "client is cut off"):
                client.closed = True
                await drive.rests(client)
            comes.set()
            await client.answers(2 if change == "client asks on" else 1)
            await drive.rests(client)
            drive.engine.answers.clear()
            await drive.ask(await drive.client(), posted("free"))

    told, _ = await by_each(tmp_path, story)
    for one in told.values():
        one.engine = []  # who leaves at once may leave before the engine has heard
    alike(told)
    assert by_c == [change]
    assert (told["C"].in_flight, told["C"].parallel) == (0, {})


@pytest.mark.parametrize("request_", [posted(), STREAM], ids=["whole", "stream"])
@in_a_loop
async def test_a_client_that_rests_behind_its_first_answer_is_closed_and_not_before(
    request_: bytes, tmp_path: Path
) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client, comes = await drive.client(), asyncio.Event()
        assert client.protocol is not None
        client.protocol.timeout_keep_alive = 0
        drive.engine.answers.append((STREAMED[0], comes, *STREAMED[1:]) if request_ == STREAM else (comes, OK))
        await client.say(request_)
        await until(lambda: len(drive.engine.asked) == 1)
        comes.set()
        assert [one.status for one in heard(await client.rest())] == [200]
        assert (drive.served, drive.handed_over) == (1, 0)
