"""One request's answer: tokens from the engine, text to the client, the clock read in between."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from nexus_worker.engines.engine import Engine, Prefix, Sampling
from nexus_worker.metrics import Metrics
from nexus_worker.text import StopStrings


@dataclass
class Generation:
    """A request as the engine takes it, and what has come of it so far."""

    prompt: Sequence[int]
    sampling: Sampling
    stops: Sequence[str] = ()
    prefix: Prefix = field(default_factory=Prefix)
    tokens: int = 0
    finish_reason: str | None = None
    """`stop` or `length`; None as long as it runs, and where it was cut off."""


async def generate(engine: Engine, metrics: Metrics, generation: Generation) -> AsyncGenerator[str, None]:
    """Text as it becomes certain; pieces are not empty. Closing it cancels the engine's work."""
    came = time.monotonic()
    outcome = "error"
    try:
        async with (
            aclosing(_measured(engine, metrics, generation, came)) as tokens,
            aclosing(_text(engine, generation, tokens)) as pieces,
        ):
            async for piece in pieces:
                yield piece
        outcome = generation.finish_reason or "error"
    except BaseException as error:
        outcome = "error" if isinstance(error, Exception) else "abort"  # closed or cancelled: the client has left
        raise
    finally:
        metrics.finished(outcome, time.monotonic() - came)


async def _measured(engine: Engine, metrics: Metrics, generation: Generation, came: float) -> AsyncGenerator[int, None]:
    last = came
    async with aclosing(engine.generate(generation.prompt, generation.sampling, generation.prefix)) as tokens:
        async for token in tokens:
            now = time.monotonic()
            if generation.tokens:
                metrics.next_token(now - last)
            else:
                metrics.first_token(len(generation.prompt), generation.prefix.cached, now - came)
            last = now
            generation.tokens += 1
            yield token


async def _text(engine: Engine, generation: Generation, tokens: AsyncGenerator[int, None]) -> AsyncGenerator[str, None]:
    decode, stops = engine.codec.decoder(), StopStrings(generation.stops)
    async for token in tokens:
        if token in engine.end_tokens and not generation.sampling.ignore_eos:
            generation.finish_reason = "stop"
            break
        piece = stops.feed(decode(token))
        if piece:
            yield piece
        if stops.found:
            generation.finish_reason = "stop"
            return
    generation.finish_reason = generation.finish_reason or "length"
    rest = stops.rest()
    if rest:
        yield rest
