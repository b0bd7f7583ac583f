"""A new conversation begins where there is room, and stays there, since Redis remembers it: real gateways, engines that
count, and one system prompt for all, so that each endpoint may be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
import redis as redis_client

from ..support.caching_engine import CachingEngine
from ..support.gateway import Gateway, until
from ..support.redis_server import RedisServer
from ..support.remembering_gateway import SYSTEM, figure, queue, recalls, started, write

pytestmark = pytest.mark.services

MEMORY = 300
RECALLS = "gateway_placement_recalls_total"
_numbers = count()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def engines() -> Iterator[list[CachingEngine]]:
    found = [CachingEngine() for _ in range(3)]
    yield found
    for one in found:
        one.stop()


@pytest.fixture(scope="module")
def gateways(
    tmp_path_factory: pytest.TempPathFactory, engines: list[CachingEngine], redis: RedisServer
) -> Iterator[list[Gateway]]:
    env = {"GATEWAY_REDIS_URL": redis.url}
    found = [started(tmp_path_factory.mktemp(name), engines, env, memory_seconds=MEMORY) for name in ("one", "other")]
    for one in found:
        taught(one, engines)
    yield found
    for one in found:
        one.stop()


def ask(gateway: Gateway, text: str) -> None:
    said = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    assert gateway.ask(messages=said).status_code == 200


def answered_by(gateway: Gateway, engines: Sequence[CachingEngine], text: str) -> CachingEngine:
    before = [one.asked for one in engines]
    ask(gateway, text)
    (found,) = (one for one, was in zip(engines, before, strict=True) if one.asked > was)
    return found


def taught(gateway: Gateway, engines: Sequence[CachingEngine]) -> None:
    """Until it knows that the group is large, and that second turns are found where the first was."""
    for _ in range(8):
        name = fresh("taught")
        for _ in range(4):
            answered_by(gateway, engines, name)


def fresh(name: str) -> str:
    """Of a conversation that nobody has heard of."""
    return f"{name} {next(_numbers)}"


def chosen(gateway: Gateway, why: str) -> float:
    return figure(gateway, "gateway_prefix_choices_total", why=why)


def notes(redis: RedisServer) -> dict[bytes, bytes]:
    with redis_client.Redis(port=redis.port) as client:
        return {key: client.get(key) or b"" for key in client.keys("nexus:placement:*")}


def test_it_begins_where_least_waits_and_later_turns_stay_there(
    gateways: list[Gateway], engines: list[CachingEngine]
) -> None:
    """By the rule alone they would go home again when nothing waits there any more. Again with others, where Redis or a
    look at an engine was late."""
    *busy, idle = engines

    def began_there() -> str | None:
        """One whose home is another engine."""
        before, name = chosen(gateways[0], "new"), fresh("begins")
        found = answered_by(gateways[0], engines, name)
        return name if found is idle and chosen(gateways[0], "new") > before else None

    def begun_and_stayed() -> bool:
        for one in busy:
            queue(gateways[0], one, 1000)
        began = [name for name in (began_there() for _ in range(9)) if name is not None]
        for one in busy:
            queue(gateways[0], one, 0)
        return any({answered_by(one, engines, name) for one in gateways * 2} == {idle} for name in began)

    until(begun_and_stayed, "it begins where nothing waits and stays", 60)


def test_each_endpoint_is_given_as_many_where_nothing_waits(
    gateways: list[Gateway], engines: list[CachingEngine]
) -> None:
    """As long as second turns come: where none do, to stay saves nothing, and the first of the idle ones is asked."""

    def even() -> bool:
        taught(gateways[0], engines)
        began = [answered_by(gateways[0], engines, fresh("even")) for _ in range(30)]
        return all(7 <= began.count(one) <= 13 for one in engines)

    until(even, "each is given a third", 60)


def test_two_gateways_that_are_asked_at_once_come_to_one_list_of_holders(
    gateways: list[Gateway], engines: list[CachingEngine], redis: RedisServer
) -> None:
    """Each may have begun it elsewhere, and then both know both."""

    def agreed() -> bool:
        before, name = notes(redis), fresh("both")
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, gateways, [name] * 2))
        until(lambda: notes(redis).keys() - before.keys(), "it is noted")
        later = [answered_by(one, engines, name) for _ in range(3) for one in gateways]
        (key,) = notes(redis).keys() - before.keys()
        held = notes(redis)[key]
        return len(held) in (8, 16) and len(set(map(id, later))) <= len(held) // 8

    until(agreed, "both ask those alone that have begun it", 60)


def test_it_is_noted_before_it_is_answered(
    gateways: list[Gateway], engines: list[CachingEngine], redis: RedisServer
) -> None:
    """So that what is asked meanwhile goes there too. Again with another, where Redis was late: then it is not new."""

    def noted() -> bool:
        before = notes(redis).keys()
        for one in engines:
            one.hold()
        with ThreadPoolExecutor(1) as pool:
            total, new = figure(gateways[0], RECALLS), recalls(gateways[0], "nothing")
            asked = pool.submit(ask, gateways[0], fresh("noted"))
            try:
                until(lambda: figure(gateways[0], RECALLS) > total, "Redis was asked for it")
                if recalls(gateways[0], "nothing") == new:
                    return False
                until(lambda: notes(redis).keys() - before, "it is noted")
                return True
            finally:
                for one in engines:
                    one.let_go()
                asked.result()

    until(noted, "it is noted while nothing is answered", 60)


def test_a_holder_that_is_taken_away_is_left_and_the_next_is_remembered(
    engines: list[CachingEngine], redis: RedisServer, tmp_path: Path
) -> None:
    gateway = started(tmp_path, engines, {"GATEWAY_REDIS_URL": redis.url}, memory_seconds=MEMORY)
    try:
        taught(gateway, engines)
        names = [fresh("drained") for _ in range(12)]
        until(lambda: {answered_by(gateway, engines, name) for name in names} >= set(engines[:1]), "it holds some")
        swaps = figure(gateway, "gateway_config_swaps_total")
        write(tmp_path, engines[1:], memory_seconds=MEMORY)
        until(lambda: figure(gateway, "gateway_config_swaps_total") > swaps, "it is taken away")

        def settled() -> bool:
            found = [answered_by(gateway, engines, name) for name in names]
            return engines[0] not in found and found == [answered_by(gateway, engines, name) for name in names]

        until(settled, "they are answered by others, and stay there", 60)
    finally:
        gateway.stop()


@pytest.mark.parametrize("fault", ["late", "away"])
def test_without_an_answer_of_redis_it_begins_where_the_rule_says(
    fault: str, engines: list[CachingEngine], tmp_path: Path
) -> None:
    server = RedisServer(tmp_path).start()
    env = {"GATEWAY_REDIS_URL": server.url}
    mine = started(tmp_path / "mine", engines, env, memory_seconds=MEMORY)
    without = started(tmp_path / "without", engines, {})
    try:
        for one in (mine, without):
            taught(one, engines)
        server.stall() if fault == "late" else server.kill()
        before = recalls(mine, "late") + recalls(mine, "away")
        began = chosen(mine, "new")
        names = [fresh(fault) for _ in range(12)]
        assert [answered_by(mine, engines, one) for one in names] == [
            answered_by(without, engines, one) for one in names
        ]
        until(lambda: recalls(mine, "late") + recalls(mine, "away") == before + 12, "each recall was in vain")
        assert chosen(mine, "new") == began
    finally:
        mine.stop()
        without.stop()
        server.go_on()
        server.kill()
