"""A body that comes behind its head, as many clients write it, is told as one that comes with it, and goes straight.
By C, by Python and by the story, on real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nexus_gateway import wire

from ..support.issuer import until
from ..support.over_sockets import Client, Drive, driven, in_a_loop
from ..support.two_ways import OK, posted
from .test_native_first_requests import alike, by_each
from .test_native_requests_changes import swap

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

SAID = posted(user="x" * 300)
BODY = SAID.index(b"\r\n\r\n") + 4
CUTS = {
    "head, body": (BODY,),
    "head and some, rest": (BODY + 7,),
    "head, body in three": (BODY, BODY + 100, BODY + 200),
    "head in two, body": (20, BODY),
    "all but a byte, a byte": (len(SAID) - 1,),
}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python waits for the rest of a body as long as a test takes: a fiftieth of a second is over where this process
    has to wait for a core."""
    monkeypatch.setattr(wire, "LATE_SECONDS", 60.0)


async def say_apart(drive: Drive, client: Client, said: bytes, *places: int) -> None:
    """Each piece once the one before was read."""
    for start, end in zip((0, *places), (*places, len(said)), strict=True):
        await client.say(said[start:end])
        await drive.rests_reading(client)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("places", CUTS.values(), ids=CUTS)
@in_a_loop
async def test_it_is_told_as_one_that_comes_at_once_and_goes_straight(places: tuple[int, ...], tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.client()
        for number in range(1, 5):
            await say_apart(drive, client, SAID, *places)
            assert await client.answers(number) == [200] * number
            await drive.rests(client)

    told, drive = await by_each(tmp_path, story)
    alike(told)
    assert (drive.served, drive.handed_over) == (4, 0)


@pytest.mark.usefixtures("patient")
@in_a_loop
async def test_what_comes_behind_it_is_another_request(tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(SAID)
        await say_apart(drive, client, SAID + SAID, BODY, len(SAID) + BODY + 3)
        assert await client.answers(4) == [200] * 4

    told, _ = await by_each(tmp_path, story)
    alike(told)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("taken_over", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("happens", ["leaves", "stops", "drains", "new configuration"])
@in_a_loop
async def test_whatever_happens_before_its_rest_is_told_alike(happens: str, taken_over: bool, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(SAID) if taken_over else await drive.client()
        assert client.protocol is not None
        await say_apart(drive, client, SAID[:-9])
        if happens == "leaves":
            client.close()
            client.closed = True
            await drive.rests(client)
            return
        if happens == "stops":
            client.protocol.shutdown()
        elif happens == "drains":
            drive.gateway.compiled().leave()
        else:
            swap(drive)
        await client.say(SAID[-9:])
        assert (await client.answers(3 if taken_over else 1))[-1] == 200
        if happens == "stops":
            assert client.closed or not await client.read()

    told, _ = await by_each(tmp_path, story)
    alike(told)
    assert told["C"].log.count(b'"status":499') == (happens == "leaves")


@pytest.mark.parametrize("taken_over", [False, True], ids=["first", "later"])
@in_a_loop
async def test_one_that_is_late_is_waited_for_by_the_story(taken_over: bool, tmp_path: Path) -> None:
    """A fiftieth of a second in Python, and one in C; then as long as any body."""
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.taken_over(SAID) if taken_over else await drive.client()
        protocol = client.protocol
        assert protocol is not None
        await say_apart(drive, client, SAID[:-9])
        assert (protocol._line is not None) is taken_over
        await until(lambda: isinstance(protocol._current, wire.WireExchange))
        assert protocol._line is None
        await client.say(SAID[-9:])
        assert (await client.answers(3 if taken_over else 1))[-1] == 200


@in_a_loop
async def test_one_that_comes_a_byte_at_a_time_has_no_more_time_in_c_than_another(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.taken_over(SAID)
        protocol = client.protocol
        assert protocol is not None
        await say_apart(drive, client, SAID[:BODY])
        place = BODY
        while protocol._line is not None:
            assert place < len(SAID), "all of it came to C, in six seconds"
            await client.say(SAID[place : place + 1])
            place += 1
            await asyncio.sleep(0.02)  # so slow is this client
        await client.say(SAID[place:])
        assert (await client.answers(3))[-1] == 200


@in_a_loop
async def test_a_large_one_is_not_waited_for(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        client, said = await drive.client(), posted(user="x" * 100_000)
        protocol = client.protocol
        assert protocol is not None
        await client.say(said[:1000])
        await until(lambda: isinstance(protocol._current, wire.WireExchange))
        await client.say(said[1000:])
        assert await client.answers(1) == [200]


@pytest.mark.usefixtures("patient")
@in_a_loop
async def test_of_many_clients_that_write_apart_each_gets_its_own(tmp_path: Path) -> None:
    async with driven(tmp_path / "one", "native") as drive:
        drive.engine.usual = (OK,)
        clients = [await drive.client() for _ in range(9)]

        async def asks(client: Client) -> None:
            for number in range(1, 21):
                await client.say(SAID[:BODY])
                await asyncio.sleep(0)
                await client.say(SAID[BODY:])
                assert await client.answers(number) == [200] * number

        await asyncio.gather(*map(asks, clients))
        assert drive.gateway.metrics.in_flight == 0
        assert drive.served == 180
