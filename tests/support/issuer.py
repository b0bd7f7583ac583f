"""An issuer that publishes keys over HTTP, and a gateway that follows it by a clock that only the test moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec

from nexus_gateway.exchange import T, Waiter
from nexus_gateway.tokens.fetch import http_fetch
from nexus_gateway.tokens.jwks import Jwks
from nexus_gateway.tokens.settings import TokenSettings
from nexus_gateway.tokens.verify import TokenVerifier

from .tokens import AUDIENCE, ISSUER, Clock
from .web import Reply, Web, serve

P = ParamSpec("P")


@dataclass
class Issuer:
    """Answers with `reply`, as soon as `open` is set."""

    reply: Reply
    open: threading.Event = field(default_factory=threading.Event)
    web: Web = field(init=False)

    def answer(self, _: str) -> Reply:
        assert self.open.wait(60)
        return self.reply


@dataclass
class Gateway:
    clock: Clock
    jwks: Jwks
    verifier: TokenVerifier
    fetches: list[str]
    """The URL of each that has begun."""


@contextmanager
def published(reply: Reply) -> Iterator[Issuer]:
    made = Issuer(reply)
    made.open.set()
    with serve(made.answer) as made.web:
        yield made
        made.open.set()


@asynccontextmanager
async def following(issuer: Issuer, patience: float = 60.0) -> AsyncIterator[Gateway]:
    """From when the first fetch has ended. The tokens' own clock stands still."""
    clock, url = Clock(), f"{issuer.web.url}/jwks?key=swordfish"
    fetches: list[str] = []
    fetch = http_fetch()

    async def counted(url: str) -> bytes:
        fetches.append(url)
        return await fetch(url)

    jwks = Jwks(url, counted, clock, timeout=patience)
    settings = TokenSettings(None, None, url, ISSUER, frozenset({AUDIENCE}), 30.0)
    jwks.begin(asyncio.get_running_loop())
    try:
        await until(lambda: jwks.status.keys > 0 or jwks.status.failure is not None)
        yield Gateway(clock, jwks, TokenVerifier(settings, jwks, Clock()), fetches)
    finally:
        jwks.close()


async def until(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError where it does not come true within a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody when it changes
            await asyncio.sleep(0.002)


async def settled(waiter: Waiter[T]) -> T:
    """What the waiter holds, or raises, within a minute."""
    await until(lambda: waiter.settled)
    return await waiter


def story(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that runs in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
