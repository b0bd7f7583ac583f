"""The keys that an issuer publishes, always at hand.

Fetched in the background. Open towards the issuer's outage: whatever goes wrong with a fetch, the last good set stays,
and the next fetch comes after the cooldown. Closed towards a kid that no good set holds.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.tokens.fetch import Fetch, FetchFailed
from nexus_gateway.tokens.key_set import BadKeySet, KeySet, read_key_set

_EARLY = 0.8
"""Of the time to live: when a set is asked for again."""
_LOOK_SECONDS = 1.0
_MOST_WAITING = 1_000
_MOST_UNKNOWN = 1_000


@dataclass(frozen=True)
class JwksStatus:
    keys: int
    age_seconds: float | None
    """Since the last good set came; None before the first."""
    failure: str | None
    """Why the latest fetch failed; None where it did not. Holds no URL."""


class Jwks:
    """Belongs to one event loop: everything is called on it."""

    def __init__(
        self,
        url: str,
        fetch: Fetch,
        clock: Callable[[], float] = time.monotonic,
        *,
        cooldown: float = 30.0,
        ttl: float = 300.0,
        timeout: float = 3.0,
    ) -> None:
        self._url, self._fetch, self._clock = url, fetch, clock
        self._cooldown, self._ttl, self._timeout = cooldown, ttl, timeout
        self.revision = 0
        """Changes when the keys do."""
        self._keys: KeySet = {}
        self._unknown: OrderedDict[str, float] = OrderedDict()
        """Kids that a good set did not hold -> until when nobody asks for them again."""
        self._waiting: list[tuple[str, Waiter[RSAPublicKey | None]]] = []
        self._started = self._came = -math.inf
        self._failure: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._fetching: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._look()

    def close(self) -> None:
        """Whoever waits is told that there is no key."""
        if self._looking is not None:
            self._looking.cancel()
        if self._fetching is not None:
            self._fetching.cancel()
        self._settle()
        self._loop = None

    @property
    def status(self) -> JwksStatus:
        age = None if math.isinf(self._came) else self._clock() - self._came
        return JwksStatus(len(self._keys), age, self._failure)

    def find(self, kid: str) -> Waiter[RSAPublicKey | None]:
        """Settled at once, unless the kid is unknown and a fetch may bring it. None where there is no such key."""
        self._refresh_when_due()
        key = self._keys.get(kid)
        if key is not None or not self._worth_waiting(kid):
            return given(key)
        waiter: Waiter[RSAPublicKey | None] = Waiter()
        self._waiting.append((kid, waiter))
        return waiter

    def _worth_waiting(self, kid: str) -> bool:
        """One fetch for all, whatever the number of kids that somebody makes up."""
        if self._unknown.get(kid, -math.inf) > self._clock() or len(self._waiting) >= _MOST_WAITING:
            return False
        if self._fetching is None:
            self._refresh()
        return self._fetching is not None

    def _look(self) -> None:
        """Also where nobody asks, so that the first token after a quiet night finds fresh keys."""
        self._refresh_when_due()
        if self._loop is not None:
            self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)

    def _refresh_when_due(self) -> None:
        if self._clock() - self._came >= self._ttl * _EARLY:
            self._refresh()

    def _refresh(self) -> None:
        """Starts a fetch, unless one is under way or the last one began too lately."""
        now = self._clock()
        if self._loop is None or self._fetching is not None or now - self._started < self._cooldown:
            return
        self._started = now
        self._fetching = self._loop.create_task(self._fetched())

    async def _fetched(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                raw = await self._fetch(self._url)
            self._take(read_key_set(raw))
        except Exception as error:
            self._failure = _reason(error)
        finally:
            self._fetching = None
            self._settle()

    def _take(self, keys: KeySet) -> None:
        if keys != self._keys:
            self._keys = keys
            self.revision += 1
        self._came, self._failure = self._clock(), None
        for kid, _ in self._waiting:
            if kid not in keys:
                self._remember_unknown(kid)

    def _remember_unknown(self, kid: str) -> None:
        self._unknown[kid] = self._clock() + 2 * self._cooldown
        self._unknown.move_to_end(kid)
        if len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.popitem(last=False)

    def _settle(self) -> None:
        """One by one from the loop, so that no caller's fault is another's."""
        waiting, self._waiting = self._waiting, []
        for kid, waiter in waiting:
            if self._loop is not None:
                self._loop.call_soon(waiter.give, self._keys.get(kid))


def _reason(error: Exception) -> str:
    """Only our own texts are known to hold nothing of the URL."""
    if isinstance(error, TimeoutError):
        return "no whole answer in time"
    return str(error) if isinstance(error, FetchFailed | BadKeySet) else type(error).__name__
