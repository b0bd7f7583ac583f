"""An answer that a task makes: bounded, within its deadlines, and ended whatever the task does."""

from __future__ import annotations

import asyncio

import pytest

from nexus_gateway.errors import ClientGone
from nexus_gateway.upstreams.produced import HIGH_WATER, ProducedAnswer
from nexus_gateway.upstreams.protocol import ResponseHead, UpstreamFault, UpstreamSlow

from ..support.issuer import settled, story, until

HEAD = ResponseHead(200, [])
PIECE = b"x" * 1024


class Making:
    """Puts pieces without end; `made` counts them."""

    def __init__(self) -> None:
        self.made, self.cancelled = 0, False

    async def __call__(self, answer: ProducedAnswer) -> None:
        answer.begin(HEAD)
        try:
            while True:
                await answer.put(PIECE)
                self.made += 1
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def silent(answer: ProducedAnswer) -> None:
    await asyncio.sleep(60)


async def half(answer: ProducedAnswer) -> None:
    answer.begin(HEAD)
    await answer.put(PIECE)
    await asyncio.sleep(60)


@story
async def test_the_task_waits_for_who_reads() -> None:
    making = Making()
    answer = ProducedAnswer(making)
    assert (await settled(answer.head(60))).status == 200
    await until(lambda: making.made >= HIGH_WATER // len(PIECE))
    for _ in range(100):
        await asyncio.sleep(0)
    assert making.made <= HIGH_WATER // len(PIECE) + 1
    before = making.made
    data = await settled(answer.chunk(60))
    assert len(data) > HIGH_WATER
    await until(lambda: making.made > before)
    answer.abort(ClientGone())
    await until(lambda: making.cancelled)


@story
async def test_a_deadline_ends_the_task() -> None:
    answer = ProducedAnswer(silent)
    with pytest.raises(UpstreamSlow, match="first byte"):
        await settled(answer.head(0.05))
    answer = ProducedAnswer(half)
    await settled(answer.head(60))
    assert await settled(answer.chunk(60)) == PIECE
    with pytest.raises(UpstreamSlow, match="silent"):
        await settled(answer.chunk(0.05))
    with pytest.raises(UpstreamSlow, match="silent"):
        await settled(answer.chunk(60))
    await until(lambda: len(asyncio.all_tasks()) == 1)


@story
async def test_whoever_waits_is_told_of_an_abort() -> None:
    for produce in (silent, half):
        answer = ProducedAnswer(produce)
        waiting = answer.head(60)
        if produce is half:
            await settled(waiting)
            await settled(answer.chunk(60))
            waiting = answer.chunk(60)  # type: ignore[assignment]  # a waiter is a waiter here
        answer.abort(ClientGone())
        with pytest.raises(ClientGone):
            await settled(waiting)


@story
async def test_what_was_made_before_a_fault_is_still_read() -> None:
    async def breaking(answer: ProducedAnswer) -> None:
        answer.begin(HEAD)
        await answer.put(PIECE)
        raise UpstreamFault("it broke")

    answer = ProducedAnswer(breaking)
    await settled(answer.head(60))
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert await settled(answer.chunk(60)) == PIECE
    with pytest.raises(UpstreamFault, match="it broke"):
        await settled(answer.chunk(60))


@pytest.mark.parametrize(
    "error", [KeyError("secret"), RecursionError(), ValueError()], ids=lambda error: type(error).__name__
)
@story
async def test_a_fault_of_the_adapter_leaves_nobody_waiting(error: Exception) -> None:
    async def failing(answer: ProducedAnswer) -> None:
        raise error

    with pytest.raises(UpstreamFault, match=r"^its adapter failed$"):
        await settled(ProducedAnswer(failing).head(60))


@story
async def test_an_answer_without_a_head_is_none() -> None:
    async def nothing(answer: ProducedAnswer) -> None:
        return

    with pytest.raises(UpstreamFault, match="gave no answer"):
        await settled(ProducedAnswer(nothing).head(60))
