"""What gateways give away of a shared limit without asking Redis for each request, and that it is never too much."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.exchange import Waiter
from nexus_gateway.limits.limiter import Reservation
from nexus_gateway.limits.shared import RedisLimiter, _key
from nexus_gateway.limits.windows import Limits, Verdict

from ..support.redis_server import RedisServer

pytestmark = pytest.mark.services

HOUR = 3600.0
"""Of a lease, which does not end while a test runs."""
WINDOW = 1e10
"""Seconds: the next begins in the year 2286. Past the border of one of an hour, which some run meets, what was counted
before it slides out of it."""
LARGE = Limits(requests=50_000, tokens=1_000_000)
"""Of which 50 requests and 1000 tokens are leased."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path).start()
    yield server
    server.kill()


class Counting(RedisLimiter):
    """How often Redis is asked for a decision."""

    asked = 0

    def _decision(self, *given: Any) -> Any:
        self.asked += 1
        return super()._decision(*given)


async def decided(limiter: RedisLimiter, limits: Limits, tokens: int) -> tuple[Verdict, Reservation | None]:
    waiter: Waiter[Any] = limiter.reserve("team", limits, tokens)
    settled = asyncio.Event()
    waiter.then(settled.set)
    await settled.wait()
    return waiter.value  # type: ignore[no-any-return]  # a waiter of any value


def run(redis: RedisServer, count: int, story: Callable[..., Awaitable[None]], lease: float = HOUR) -> None:
    async def whole() -> None:
        made = [Counting(redis.url, lambda *_: None, deadline=30.0, window=WINDOW, lease=lease) for _ in range(count)]
        for one in made:
            await one.begin()
        await story(*made)
        for one in made:
            await one.close()

    asyncio.run(whole())


async def kept(limiter: RedisLimiter) -> dict[str, int]:
    """What Redis has counted for the bucket, in all windows."""
    client, found = limiter._scripts._redis, {"requests": 0, "tokens": 0}
    for name in await client.keys(f"{_key('team')}:*"):
        for kind, value in (await client.hgetall(name)).items():
            found[kind.decode()] += int(value)
    return found


def test_far_from_a_limit_one_question_answers_many(redis: RedisServer) -> None:
    async def story(limiter: Counting) -> None:
        found = [await decided(limiter, LARGE, 10) for _ in range(51)]
        assert all(verdict.admitted for verdict, _ in found)
        assert limiter.asked == 1
        left = [verdict.requests.remaining for verdict, _ in found if verdict.requests is not None]
        assert left == list(range(49_999, 49_948, -1)), "and the client is told what is left, as if each were asked for"
        await decided(limiter, LARGE, 10)
        assert limiter.asked == 2

    run(redis, 1, story)


def test_a_small_limit_is_asked_for_each_request(redis: RedisServer) -> None:
    async def story(limiter: Counting) -> None:
        for _ in range(5):
            await decided(limiter, Limits(requests=1000, tokens=1_000_000), 1)
        assert limiter.asked == 5
        assert (await kept(limiter))["requests"] == 5

    run(redis, 1, story)


def test_together_they_admit_the_limit_and_not_one_more(redis: RedisServer) -> None:
    async def story(*limiters: Counting) -> None:
        limits = Limits(tokens=100_000)  # 100 are leased, as long as a tenth of it is left
        admitted = 0
        for number in range(3 * 2_100):
            verdict, _ = await decided(limiters[number % 3], limits, 50)
            admitted += verdict.admitted
        assert admitted <= 2_000
        assert admitted >= 2_000 - 3 * 2, "all but what a lease of each of them still holds"
        assert sum(one.asked for one in limiters) < 6_300 - 500, "and some were leased"

    run(redis, 3, story)


def test_what_is_left_of_a_lease_is_given_back_and_corrections_arrive(redis: RedisServer) -> None:
    async def story(limiter: Counting, other: Counting) -> None:
        _, first = await decided(limiter, LARGE, 10)
        _, second = await decided(limiter, LARGE, 10)
        _, third = await decided(limiter, LARGE, 10)
        assert first is not None
        assert second is not None
        assert third is not None
        assert await kept(other) == {"requests": 51, "tokens": 1010}, "the lease is counted before it is given away"
        limiter.settle(first, 4)
        limiter.settle(second, 25)
        limiter.settle(second, 25)
        limiter.refund(third)
        await limiter.close()
        assert await kept(other) == {"requests": 2, "tokens": 29}

    run(redis, 2, story)


def test_a_lease_ends_by_itself(redis: RedisServer) -> None:
    async def story(limiter: Counting) -> None:
        await decided(limiter, LARGE, 10)
        async with asyncio.timeout(60):
            while await kept(limiter) != {"requests": 1, "tokens": 10}:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)
        before = limiter.asked
        await decided(limiter, LARGE, 10)
        assert limiter.asked == before + 1

    run(redis, 1, story, lease=0.02)


def test_other_limits_end_a_lease(redis: RedisServer) -> None:
    """A policy that was changed holds for the next request."""

    async def story(limiter: Counting) -> None:
        await decided(limiter, LARGE, 10)
        verdict, _ = await decided(limiter, Limits(requests=1), 10)
        assert not verdict.admitted

    run(redis, 1, story)


def test_corrections_that_redis_does_not_take_are_counted_and_a_lease_s_rest_is_not(redis: RedisServer) -> None:
    async def story(limiter: Counting) -> None:
        reservations = [(await decided(limiter, LARGE, 10))[1] for _ in range(3)]
        redis.kill()
        for one in reservations:
            assert one is not None
            limiter.settle(one, 4)
        await limiter.close()
        assert limiter.lost == 3

    run(redis, 1, story)
