"""Requests in C (gateway/native/) whatever their sockets do: in pieces, behind one another, slow, closed, or many."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.straight import compiled

from ..support.issuer import until
from ..support.over_sockets import Drive, driven, in_a_loop, on_both
from ..support.two_ways import DOCUMENT, LOST, OK, posted, whole

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

LARGE = whole({**DOCUMENT, "more": "x" * 60_000})
LONG = posted(messages=[{"role": "user", "content": "word " * 5000}])


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 60, -40, -1], ids=["first-byte", "in-head", "in-body", "last-byte"])
@in_a_loop
async def test_a_request_that_comes_in_pieces_is_answered_once(cut: int, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await client.say(posted()[:cut])
        await drive.rests(client)
        await drive.ask(client, posted()[cut:])
        for _ in range(2):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    assert native.client.count(b"HTTP/1.1 200") == 5


@pytest.mark.parametrize("first", [posted(), posted(max_tokens=3)], ids=["same", "other"])
@in_a_loop
async def test_requests_behind_one_another_are_answered_in_their_order(first: bytes, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        drive.engine.answers.extend((whole({**DOCUMENT, "id": name}),) for name in "abcd")
        await client.say(first + posted())
        assert await client.answers(4) == [200] * 4
        comes = asyncio.Event()
        drive.engine.answers.appendleft((comes, whole({**DOCUMENT, "id": "first"})))
        await client.say(posted())
        await until(lambda: drive.gateway.metrics.in_flight == 1)
        await client.say(posted())
        await drive.rests_reading(client)
        comes.set()
        assert await client.answers(6) == [200] * 6

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    assert re.findall(rb'"id": "(\w+)"', native.client) == [b"c", b"c", b"a", b"b", b"first", b"c"]


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
@in_a_loop
async def test_a_client_that_leaves_is_told_as_one_that_left(how: str, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        comes = asyncio.Event()
        drive.engine.answers.append((comes, OK))
        await client.say(posted())
        await until(lambda: len(drive.engine.asked) == 3)
        getattr(client, how)()
        await until(lambda: not drive.gateway.metrics.in_flight)
        comes.set()

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 1
    assert native.log.count(b'"status":499') == 1


@in_a_loop
async def test_a_client_that_reads_late_gets_every_byte_in_its_order(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        client.narrow()
        drive.engine.usual = (LARGE,)
        for _ in range(3):
            await client.say(posted())
        assert await client.answers(5) == [200] * 5

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    assert native.client.count(b"x" * 60_000) == 3


@in_a_loop
async def test_a_client_that_rests_too_long_is_closed(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.taken_over(posted())
        protocol = client.protocol
        assert protocol is not None
        protocol.timeout_keep_alive = 0
        protocol._look_idle()
        assert (await client.rest(), drive.faults) == (client.heard, [])
        assert protocol._line is None


# --- the engine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False], ids=["answers-early", "answers-late"])
@in_a_loop
async def test_what_an_engine_has_not_read_yet_stays_before_what_it_is_asked_next(early: bool, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        first, other = await drive.taken_over(posted()), await drive.taken_over(posted())
        engine = drive.engine.made[0]
        engine.narrow()
        engine.transport.pause_reading()
        await first.say(LONG)
        await until(lambda: drive.gateway.metrics.in_flight == 1)
        if early:
            drive.engine.answers.append(())
            engine.transport.write(OK)
            await first.answers(3)
            await drive.rests(first)
            other.say_at_once(posted())  # heard by the gateway before it hears that the engine has room again
            engine.read_at_once()
        engine.transport.resume_reading()
        assert (await first.answers(3), await other.answers(2 + early)) == ([200] * 3, [200] * (2 + early))
        await drive.rests(first)
        for _ in range(2):
            await drive.ask(first, posted())

    native, wire, served = await on_both(tmp_path, story, room=4096)
    assert native == wire
    assert served >= 1
    assert [asked.endswith(LONG[-2000:]) for asked in native.engine[4:6]] == [True, False]


@pytest.mark.parametrize("answer", [(LOST,), (OK, LOST)], ids=["stale", "with-its-answer"])
@in_a_loop
async def test_an_engine_s_connection_that_ends_is_replaced_unseen(answer: tuple[Any, ...], tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        for _ in range(3):
            await drive.ask(client, posted(), *answer)
            await drive.ask(client, posted())
        drive.engine.made[-1].transport.close()
        await until(lambda: drive.engine.made[-1].gone)
        for _ in range(3):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 2
    assert native.client.count(b"HTTP/1.1 200") == 11


@in_a_loop
async def test_an_engine_that_speaks_unasked_is_asked_no_more(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        drive.engine.made[0].transport.write(OK)
        await until(lambda: drive.engine.made[0].gone)
        for _ in range(3):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    assert native.client.count(b"HTTP/1.1 200") == 5


@in_a_loop
async def test_an_engine_that_says_nothing_is_given_up_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Python, which finds the way, and then by C: nothing is asked by it that is answered, and might be too late."""
    monkeypatch.setattr(compiled, "_SHORTEST", 0.0)
    for edge in ("native", "wire"):
        async with driven(tmp_path / edge, edge, SHORT) as drive:
            client = await drive.taken_over(posted())
            await drive.ask(client, posted(model="short"), asyncio.Event())
            for _ in range(2):
                await drive.ask(client, posted())
            before = drive.served
            statuses = await drive.ask(client, posted(model="short"), asyncio.Event())
            assert statuses == [200, 200, 504, 200, 200, 504]
            assert (drive.served - before, drive.faults) == ((1, []) if edge == "native" else (0, []))


SHORT = {"routes": {"short": {"strategy": "direct", "upstream": "engine", "timeouts": {"first_byte_seconds": 0.3}}}}


# --- many -------------------------------------------------------------------------------------------------------------


@in_a_loop
async def test_of_many_clients_at_once_each_gets_its_own_answers(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        drive.engine.answer_to = _echo  # type: ignore[method-assign]  # what it is asked, it says

        async def talk(number: int) -> None:
            client = await drive.client()
            for turn in range(200):
                said = f"{number}/{turn}"
                await client.say(posted("free", messages=[{"role": "user", "content": said}]))
                await client.until(b"}}")
                found, client.heard = client.heard, b""
                assert json.loads(found.partition(b"\r\n\r\n")[2])["id"] == said

        await asyncio.gather(*map(talk, range(64)))
        assert drive.served > 64 * 190
        assert drive.gateway.parallel.under_way == {}
        assert (drive.gateway.metrics.in_flight, drive.faults) == (0, [])


def _echo(asked: bytes) -> tuple[bytes, ...]:
    said = json.loads(asked.partition(b"\r\n\r\n")[2])["messages"][0]["content"]
    return (whole({"id": said, "usage": {"prompt_tokens": 1, "details": {}}}),)
