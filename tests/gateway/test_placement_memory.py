"""Conversations are found again where they were answered, by what Redis remembers; nobody waits for it, or needs it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from nexus_gateway.exchange import Waiter
from nexus_gateway.placing import memory as placement_memory
from nexus_gateway.placing.memory import MOST_PENDING, PlacementMemory
from nexus_release.local.free_ports import free_port

from ..support.caching_engine import CachingEngine
from ..support.gateway import Gateway, until
from ..support.redis_server import RedisServer
from ..support.remembering_gateway import SYSTEM, figure, queue, recalls, started

pytestmark = pytest.mark.services

CONVERSATION, OTHER = 7, 8
PATIENT = 30.0
"""Seconds, where a test is not about being late."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def a_busy_machine_is_no_redis_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here; a gateway of its own has its deadline."""
    monkeypatch.setattr(placement_memory, "_BATCH_SECONDS", PATIENT)


class Told:
    """What became of recalls and notes."""

    def __init__(self) -> None:
        self.recalls, self.notes, self.changes = Counter[str](), Counter[str](), list[bool]()

    def memory(self, url: str, wait: float = PATIENT) -> PlacementMemory:
        def changed(up: bool, reason: str) -> None:
            self.changes.append(up)

        return PlacementMemory(url, changed, lambda what: self._add(self.recalls, what), self._noted, wait)

    def _noted(self, what: str) -> None:
        self._add(self.notes, what)

    def _add(self, to: Counter[str], what: str) -> None:
        to[what] += 1


async def recalled(memory: PlacementMemory, conversation: int = CONVERSATION) -> list[int] | None:
    waiter: Waiter[Collection[int] | None] = memory.recall(conversation)
    settled = asyncio.Event()
    waiter.then(settled.set)
    await asyncio.wait_for(settled.wait(), PATIENT)
    return None if waiter.value is None else list(waiter.value)


async def condition(holds: Callable[[], Awaitable[Any]] | Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(PATIENT):
        while True:
            found = holds()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.01)
    raise AssertionError(what)


def run(url: str, story: Callable[[PlacementMemory, Told], Awaitable[None]], wait: float = PATIENT) -> Told:
    told = Told()

    async def whole() -> None:
        memory = told.memory(url, wait)
        try:
            await story(memory, told)
        finally:
            await memory.close()

    asyncio.run(whole())
    return told


def test_the_last_three_are_remembered_the_last_of_them_first(redis: RedisServer) -> None:
    async def story(memory: PlacementMemory, told: Told) -> None:
        assert await recalled(memory, OTHER) == []
        for seed in (1, 2, 3, 2**64 - 1, 2):
            memory.note(OTHER, seed, 60)
        assert await recalled(memory, OTHER) == [2, 2**64 - 1, 3]
        await condition(lambda: told.notes["kept"] == 5, "all are noted")

    told = run(redis.url, story)
    assert told.recalls == {"nothing": 1, "found": 1}


def test_what_redis_keeps_names_nobody_is_small_and_goes_by_itself(redis: RedisServer) -> None:
    async def story(memory: PlacementMemory, told: Told) -> None:
        for seed in range(9):
            memory.note(CONVERSATION, seed, 60)
        await condition(lambda: told.notes["kept"] == 9, "all are noted")

    run(redis.url, story)
    key = f"nexus:placement:{{{CONVERSATION:016x}}}"
    with redis_client.Redis(port=redis.port) as client:
        assert client.strlen(key) == 24
        assert 0 < client.pttl(key) <= 60_000


def test_a_redis_that_says_nothing_is_not_waited_for_and_then_left_alone(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be waited for half a minute, if it were not for the deadline of a request."""
    monkeypatch.setattr(placement_memory, "REST_SECONDS", 3600.0)

    async def story(memory: PlacementMemory, told: Told) -> None:
        redis.stall()
        try:
            for _ in range(5):
                assert await recalled(memory) is None
        finally:
            redis.go_on()

    told = run(redis.url, story, placement_memory.WAIT_SECONDS)
    assert told.recalls == {"late": 3, "away": 2}


def test_a_redis_that_is_down_is_told_once_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)

    async def story(memory: PlacementMemory, told: Told) -> None:
        memory.note(CONVERSATION, 1, 60)
        for _ in range(5):
            assert await recalled(memory) is None
        await asyncio.to_thread(server.start)

        async def back() -> bool:
            memory.note(CONVERSATION, 5, 60)
            return await recalled(memory) == [5]

        await condition(back, "it remembers again")

    try:
        told = run(server.url, story)
    finally:
        server.kill()
    assert told.changes == [False, True]
    assert told.recalls["away"] >= 5
    assert told.notes["lost"] >= 1


def test_no_more_than_some_notes_wait_for_redis(redis: RedisServer) -> None:
    """All are given within one turn of the loop, in which Redis can take none."""

    async def story(memory: PlacementMemory, told: Told) -> None:
        for number in range(MOST_PENDING + 3):
            memory.note(number, 1, 60)
        assert told.notes == {"dropped": 3}
        await condition(lambda: told.notes["kept"] + told.notes["lost"] == MOST_PENDING, "the others are settled")
        memory.note(1, 1, 60)
        assert told.notes["dropped"] == 3

    run(redis.url, story)


@pytest.fixture(scope="module")
def engines() -> Iterator[list[CachingEngine]]:
    found = [CachingEngine(shared=560), CachingEngine(shared=560)]
    yield found
    for one in found:
        one.stop()


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, engines: list[CachingEngine], redis: RedisServer
) -> Iterator[Gateway]:
    found = started(tmp_path_factory.mktemp("it"), engines, {"GATEWAY_REDIS_URL": redis.url}, memory_seconds=300)
    yield found
    found.stop()


def answered_by(gateway: Gateway, engines: list[CachingEngine], text: str) -> CachingEngine:
    before = [one.asked for one in engines]
    message = {"role": "system", "content": text}
    assert gateway.ask(messages=[message, {"role": "user", "content": "hello"}]).status_code == 200
    (found,) = (one for one, was in zip(engines, before, strict=True) if one.asked > was)
    return found


def begun_away(gateway: Gateway, engines: list[CachingEngine], name: str) -> list[str]:
    """Conversations that have begun at the second engine, while the first, which is home of half of them, was full."""
    answered_by(gateway, engines, f"{name}, so that the gateway learns what waits {SYSTEM}")
    queue(gateway, engines[0], 1000)
    batches = count()

    def away() -> list[str]:
        """Others again where a look was late, for who was not heard is taken for as loaded as the other."""
        batch = next(batches)
        texts = [f"{name} {batch} {number} {SYSTEM}" for number in range(24)]
        return texts if {answered_by(gateway, engines, text) for text in texts} == {engines[1]} else []

    texts: list[str] = until(away, "the first engine is full", 60)
    queue(gateway, engines[0], 0)
    return texts


def holders(gateway: Gateway) -> float:
    return figure(gateway, "gateway_prefix_choices_total", why="holder")


def test_conversations_go_back_to_where_they_were_by_any_gateway(
    gateway: Gateway, engines: list[CachingEngine], redis: RedisServer, tmp_path: Path
) -> None:
    other, batches = started(tmp_path, engines, {"GATEWAY_REDIS_URL": redis.url}, memory_seconds=300), count()

    def back(one: Gateway) -> bool:
        """Again with others, where notes were late."""
        for text in begun_away(gateway, engines, f"back {next(batches)}"):
            answered_by(one, engines, text)
        return holders(one) > 0

    try:
        for one in (gateway, other):
            until(partial(back, one), "they are asked where they were", 60)
            assert recalls(one, "found") > 0
        assert figure(gateway, "gateway_placement_notes_total", outcome="kept") > 0
    finally:
        other.stop()


def test_one_that_stays_at_home_is_noted_there(gateway: Gateway, engines: list[CachingEngine]) -> None:
    text = f"stays {SYSTEM}"
    home, before = answered_by(gateway, engines, text), recalls(gateway, "found")
    until(lambda: (answered_by(gateway, engines, text), recalls(gateway, "found") > before)[1], "it is recalled")
    assert answered_by(gateway, engines, text) is home


def test_short_prompts_do_not_ask_for_it(gateway: Gateway, engines: list[CachingEngine]) -> None:
    def asked() -> float:
        return figure(gateway, "gateway_placement_recalls_total")

    before = asked()
    answered_by(gateway, engines, "short")
    until(lambda: figure(gateway, "gateway_prefix_choices_total", why="short") > 0, "it is counted")
    assert asked() == before


def test_without_memory_the_rule_sends_them_home(
    engines: list[CachingEngine], redis: RedisServer, tmp_path: Path
) -> None:
    without = started(tmp_path, engines, {"GATEWAY_REDIS_URL": redis.url})
    try:
        texts = begun_away(without, engines, "without")
        assert {answered_by(without, engines, text) for text in texts} == set(engines)
        assert holders(without) == recalls(without, "found") == recalls(without, "nothing") == 0
    finally:
        without.stop()


def test_without_a_redis_it_is_told_and_all_are_answered(engines: list[CachingEngine], tmp_path: Path) -> None:
    without = started(tmp_path, engines, {}, memory_seconds=300)
    try:
        answered_by(without, engines, f"no redis {SYSTEM}")
    finally:
        without.stop()
    told = "routes have memory_seconds, but GATEWAY_REDIS_URL is not set; prompts are placed without memory"
    assert told in [line["message"] for line in without.lines()]


def test_while_redis_is_slow_or_down_all_are_answered_and_the_metric_tells(
    engines: list[CachingEngine], tmp_path: Path
) -> None:
    server = RedisServer(tmp_path).start()
    mine = started(tmp_path, engines, {"GATEWAY_REDIS_URL": server.url}, memory_seconds=300)

    def comes_to(outcome: str) -> Callable[[], bool]:
        """By prompts that are new each time, so that nothing is known of them."""
        before, number = recalls(mine, outcome), count()

        def came() -> bool:
            answered_by(mine, engines, f"{outcome} {before} {next(number)} {SYSTEM}")
            return recalls(mine, outcome) > before

        return came

    try:
        until(comes_to("nothing"), "Redis answers in time")
        server.stall()
        until(comes_to("late"), "a slow one is late")
        server.go_on()
        until(comes_to("nothing"), "it answers in time again")
        server.kill()
        until(comes_to("away"), "one that is down is away")
        server.start()
        until(comes_to("nothing"), "the one that was restarted answers")
        until(lambda: answered_by(mine, engines, SYSTEM) and recalls(mine, "found") > 0, "and takes notes")
    finally:
        mine.stop()
        server.kill()


def test_a_gateway_starts_without_the_redis_that_should_remember(engines: list[CachingEngine], tmp_path: Path) -> None:
    mine = started(tmp_path, engines, {"GATEWAY_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, memory_seconds=9)
    try:
        answered_by(mine, engines, f"started {SYSTEM}")
        until(lambda: recalls(mine, "away") + recalls(mine, "late") > 0, "the metric tells")
    finally:
        mine.stop()
