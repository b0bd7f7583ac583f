"""What the mock's work costs, on a clock that is exact; and its cache, whatever comes in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_worker.engines.engine import Prefix, Sampling
from nexus_worker.engines.mock.engine import Memory, MockEngine
from nexus_worker.engines.mock.pace import Pace
from nexus_worker.engines.mock.prefix_cache import BlockPool, Chain, Lease, chained

from ..support import virtual_time

BLOCK = 4
PACE = Pace(ttft_seconds=1, prefill_rate=10, stream_rate=2, total_rate=0)


def engine(
    pace: Pace = PACE, *, blocks: int = 100, keeps_prefixes: bool = True, places: int = 8, context: int = 400
) -> MockEngine:
    return MockEngine(pace, Memory(BLOCK, blocks, keeps_prefixes), max_num_seqs=places, context=context)


@dataclass
class Heard:
    times: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    cached: int | None = None


async def ask(mock: MockEngine, prompt: Sequence[int], tokens: int = 3, salt: str = "") -> Heard:
    heard, prefix = Heard(), Prefix(salt)
    async for token in mock.generate(prompt, Sampling(max_tokens=tokens, ignore_eos=True), prefix):
        heard.times.append(asyncio.get_running_loop().time())
        heard.tokens.append(token)
    heard.cached = prefix.cached
    return heard


def together(mock: MockEngine, *prompts: Sequence[int], tokens: int = 3) -> list[Heard]:
    async def all_of_them() -> list[Heard]:
        return await asyncio.gather(*(ask(mock, prompt, tokens) for prompt in prompts))

    return virtual_time.run(all_of_them())


def in_turn(mock: MockEngine, *prompts: Sequence[int], tokens: int = 3) -> list[Heard]:
    async def one_after_the_other() -> list[Heard]:
        return [await ask(mock, prompt, tokens) for prompt in prompts]

    return virtual_time.run(one_after_the_other())


def test_a_first_token_takes_the_floor_and_the_prefill_and_each_other_its_rate() -> None:
    (heard,) = together(engine(), range(20))
    assert heard.times == pytest.approx([3.0, 3.5, 4.0])


def test_what_is_cached_costs_no_prefill_except_for_the_last_token() -> None:
    first, second = in_turn(engine(), range(20), range(20))
    assert (first.cached, second.cached) == (0, 16)
    assert second.times[0] - first.times[-1] == pytest.approx(1 + (20 - 16) / 10)


def test_prompts_are_prefilled_one_after_the_other_and_their_floors_side_by_side() -> None:
    heard = together(engine(), range(20), range(100, 120), range(200, 220))
    assert [one.times[0] for one in heard] == pytest.approx([3.0, 5.0, 7.0])


def test_twins_compute_their_prompt_once_and_the_second_is_no_earlier() -> None:
    first, second = together(engine(), range(20), range(20))
    assert second.cached == 16
    assert first.times[0] == pytest.approx(3.0)
    assert second.times[0] == pytest.approx(3.0 + 4 / 10)


def test_streams_share_the_total_rate_and_none_is_quicker_than_its_own() -> None:
    mock = engine(Pace(ttft_seconds=0, prefill_rate=0, stream_rate=2, total_rate=4))
    assert together(mock, [1], [2], tokens=3)[0].times == pytest.approx([0, 0.5, 1.0])
    crowded = engine(Pace(ttft_seconds=0, prefill_rate=0, stream_rate=2, total_rate=4))
    assert together(crowded, [1], [2], [3], [4], tokens=3)[3].times == pytest.approx([0, 1.0, 2.0])


def test_who_has_no_place_waits_for_the_first_that_ends() -> None:
    first, second = together(engine(places=1), range(20), range(100, 120))
    assert second.times[0] == pytest.approx(first.times[-1] + 3.0)


def test_who_finds_no_blocks_waits_and_nobody_overtakes() -> None:
    mock = engine(blocks=8, context=32)
    large, next_large, small = together(mock, range(20), range(100, 120), range(200, 204), tokens=4)
    assert next_large.times[0] == pytest.approx(large.times[-1] + 3.0)
    assert small.times[0] > large.times[-1]


def test_who_leaves_the_queue_lets_those_behind_pass() -> None:
    async def walk() -> tuple[list[Heard], int]:
        mock = engine(blocks=8, context=32)
        running = asyncio.create_task(ask(mock, range(12), 4))
        too_large = asyncio.create_task(ask(mock, range(100, 128), 4))
        small = asyncio.create_task(ask(mock, range(200, 204), 4))
        await asyncio.sleep(0.5)
        waiting = mock.stats().waiting
        too_large.cancel()
        return [await running, await small], waiting

    (running, small), waiting = virtual_time.run(walk())
    assert waiting == 2
    assert small.times[0] < running.times[-1]


@pytest.mark.parametrize("after", [0.5, 2.0, 3.2], ids=["before its prefill", "during it", "while it decodes"])
def test_who_leaves_gives_everything_back(after: float) -> None:
    async def walk() -> tuple[Heard, MockEngine]:
        mock = engine(places=1)
        leaving = asyncio.create_task(ask(mock, range(20), 30))
        await asyncio.sleep(after)
        leaving.cancel()
        await asyncio.wait([leaving])
        return await ask(mock, range(20), 2), mock

    heard, mock = virtual_time.run(walk())
    assert heard.cached == (16 if after > 3 else 0), "only what was computed is kept"
    assert (mock.stats().running, mock.stats().waiting, mock.stats().kv_cache) == (0, 0, 0)


@pytest.mark.parametrize("first", [0, 1], ids=["who runs first", "who waits first"])
def test_who_runs_and_who_waits_may_leave_at_once(first: int) -> None:
    """Between the moment in which a waiting one is cancelled and that in which it hears of it, its turn may come."""

    async def walk() -> tuple[list[BaseException | Heard], MockEngine]:
        mock = engine(places=1)
        asked = [asyncio.create_task(ask(mock, range(start, start + 20), 30)) for start in (0, 100)]
        await asyncio.sleep(3.2)
        for task in (asked[first], asked[1 - first]):
            task.cancel()
        left = await asyncio.gather(*asked, return_exceptions=True)
        await ask(mock, range(20), 2)
        return left, mock

    left, mock = virtual_time.run(walk())
    assert [type(one) for one in left] == [asyncio.CancelledError] * 2
    assert (mock.stats().running, mock.stats().waiting, mock.stats().kv_cache) == (0, 0, 0)


def test_one_who_stops_reading_in_the_middle_gives_everything_back() -> None:
    async def walk() -> MockEngine:
        mock = engine()
        async with aclosing(mock.generate([1, 2, 3], Sampling(max_tokens=30), Prefix())) as tokens:
            await anext(tokens)
            assert mock.stats().kv_cache > 0
        return mock

    assert virtual_time.run(walk()).stats().kv_cache == 0


def test_the_answer_is_cached_for_the_next_turn() -> None:
    async def walk() -> Heard:
        mock = engine()
        first = await ask(mock, range(8), tokens=9)
        return await ask(mock, [*range(8), *first.tokens, 7, 7, 7])

    assert virtual_time.run(walk()).cached == 16, "of 8 and 9 tokens, the last of which the model never read"


def test_words_do_not_depend_on_the_cache() -> None:
    cold, warm = in_turn(engine(), range(20), range(20), tokens=30)
    (without,) = together(engine(keeps_prefixes=False), range(20), tokens=30)
    assert cold.tokens == warm.tokens == without.tokens
    assert (warm.cached, without.cached) == (16, None)


def test_another_salt_shares_nothing() -> None:
    async def walk() -> list[int | None]:
        mock = engine()
        return [(await ask(mock, range(20), salt=salt)).cached for salt in ("a", "b", "a", "")]

    assert virtual_time.run(walk()) == [0, 0, 16, 0]


def test_the_least_recently_used_goes_first_and_of_a_prompt_its_end() -> None:
    pool = BlockPool(6)

    def use(tokens: Sequence[int]) -> int:
        chain = chained(tokens, 1, "")
        lease = pool.take(chain, len(chain), len(chain))
        assert lease is not None
        lease.computed = chain
        pool.give_back(lease)
        return lease.hits

    for prompt in ([1, 2, 3], [4, 5, 6], [1, 2, 3]):
        use(prompt)
    assert use([7]) == 0
    assert use([4, 5, 6]) == 2, "block 6 made room for 7"
    assert use([1, 2, 3]) == 2, "and block 3 then for 6"


TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=12)
STEPS = st.lists(st.one_of(TOKENS, st.tuples(st.integers(0, 5), st.booleans())), max_size=60)


@settings(deadline=None)
@given(size=st.integers(1, 12), steps=STEPS)
def test_the_cache_is_bounded_and_hits_only_what_begins_alike(
    size: int, steps: list[list[int] | tuple[int, bool]]
) -> None:
    """A list is a prompt that comes; a pair says which request ends, and whether it had computed its prompt."""
    pool, running, seen = BlockPool(size), list[tuple[Lease, tuple[int, ...]]](), set[tuple[int, ...]]()
    for step in steps:
        if isinstance(step, list):
            chain: Chain = chained(step, 2, "")
            lease = pool.take(chain, -(-len(step) // 2), (len(step) - 1) // 2)
            if lease is None:
                assert running or len(step) > 2 * size, "an empty cache takes what is not larger than itself"
                continue
            assert lease.hits * 2 < len(step)
            assert lease.hits == 0 or any(other[: lease.hits * 2] == tuple(step[: lease.hits * 2]) for other in seen)
            running.append((lease, tuple(step)))
            seen.add(tuple(step))
        elif running:
            lease, _ = running.pop(step[0] % len(running))
            if step[1]:
                lease.computed = lease.chain
            pool.give_back(lease)
        assert pool.used <= pool.filled <= size
        assert pool.used >= max((len(lease.chain) + lease.others for lease, _ in running), default=0)
    for lease, _ in running:
        pool.give_back(lease)
    assert pool.used == 0


@settings(deadline=None)
@given(prompts=st.lists(TOKENS, min_size=1, max_size=20))
def test_a_cache_without_bound_hits_all_that_begins_alike(prompts: list[list[int]]) -> None:
    pool, chains = BlockPool(10_000), list[Chain]()
    for prompt in prompts:
        chain = chained(prompt, 2, "")
        lease = pool.take(chain, len(chain), len(chain))
        assert lease is not None
        alike = [sum(1 for _ in _common(prompt, before)) // 2 for before in prompts[: len(chains)]]
        assert lease.hits == max((min(one, len(chain)) for one in alike), default=0)
        lease.computed = chain
        pool.give_back(lease)
        chains.append(chain)


def _common(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return one[: min(len(one), len(other)) if same is None else same]
