"""Claims and answers in Redis, for all gateways together.

Closed by default: while Redis is away nobody can say whether a key was sent before, and a client that sends one has
asked not to pay twice; requests without a key notice nothing. Set open, each gateway keeps for itself then. A claim has
a lease that its holder extends, so that the claim of a gateway that was killed ends by itself. Who is told: `changed`,
once at each change between up and down.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.idempotency.memory import MemoryStore
from nexus_gateway.idempotency.settings import ASK_SECONDS, EXTENDS, IdempotencySettings
from nexus_gateway.idempotency.store import Claim, Conflict, Found, Held, Kept, Unavailable
from nexus_gateway.idempotency.wakes import Wakes
from nexus_gateway.redis_scripts import Changed, RedisAway, RedisScripts


@dataclass(frozen=True, slots=True)
class _Ending:
    """Of a claim that Redis could not be told of."""

    claim: Claim
    answer: bytes
    until: float


class SharedStore:
    """The port `Store`, for one asyncio loop."""

    def __init__(self, url: str, settings: IdempotencySettings, changed: Changed) -> None:
        """Raises ValueError for a URL that is none."""
        self._settings = settings
        self._scripts = RedisScripts(url, __package__, ("claim.lua", "finish.lua"), changed, ASK_SECONDS)
        self._wakes = Wakes(url, ASK_SECONDS)
        self._alone = MemoryStore(settings)
        self._held: dict[str, Claim] = {}
        self._untold: dict[str, _Ending] = {}
        self._untold_bytes = 0
        self._holding_on: asyncio.TimerHandle | None = None

    @property
    def shared(self) -> bool:
        return self._scripts.up

    async def begin(self) -> None:
        await self._scripts.begin()
        await self._alone.begin()
        self._wakes.begin()
        self._hold_on()

    def claim(self, name: str, fingerprint: str) -> Waiter[Found]:
        if (known := self._known(name, fingerprint)) is not None:
            return given(known)
        claim = Claim(name, fingerprint, secrets.token_hex(16))
        found, freed = Waiter[Found](), self._wakes.listen(_key(name))
        asked = self._ask(claim)

        def settled() -> None:
            told, seconds = self._found(claim, asked, freed)
            self._wakes.stop(_key(name), freed, seconds)
            found.give(told)

        asked.then(settled)
        return found

    def keep(self, claim: Claim, answer: Kept) -> Waiter[bool]:
        if not claim.token:
            return self._alone.keep(claim, answer)
        until = time.monotonic() + self._settings.ttl_seconds
        return self._end(_Ending(claim, msgspec.msgpack.encode(answer), until))

    def free(self, claim: Claim) -> None:
        if claim.token:
            self._end(_Ending(claim, b"", time.monotonic() + self._settings.lease_seconds))

    async def close(self) -> None:
        if self._holding_on is not None:
            self._holding_on.cancel()
        await self._alone.close()
        self._wakes.close()
        await self._scripts.close()

    # --- to claim ----------------------------------------------------------------------------------------------------

    def _known(self, name: str, fingerprint: str) -> Found | None:
        """What this gateway has kept while Redis was away."""
        if (ending := self._recall(name)) is not None:
            self._end(ending)  # before the claim that is asked for now
            if ending.answer:
                same = ending.claim.fingerprint == fingerprint
                return msgspec.msgpack.decode(ending.answer, type=Kept) if same else Conflict()
        here = self._alone.claim(name, fingerprint).value
        return None if isinstance(here, Claim) else here

    def _ask(self, claim: Claim) -> Waiter[Any]:
        lease = int(self._settings.lease_seconds * 1000)
        return self._scripts.run(
            "claim.lua", _key(claim.name), claim.fingerprint, claim.token, lease, self._wakes.channel
        )

    def _found(self, claim: Claim, asked: Waiter[Any], freed: Waiter[None]) -> tuple[Found, float]:
        """With the seconds after which to ask again, 0 where it is not to be waited for."""
        try:
            if asked.error is not None:
                raise asked.error
            if asked.value[0] == b"held":
                return Held(freed), max(1, int(asked.value[1])) / 1000
            return self._read(claim, asked.value), 0.0
        except RedisAway:
            return self._without(claim), 0.0
        except Exception:  # whatever it is: Redis may have taken the claim, which must not keep others waiting
            self.free(claim)
            return self._without(claim), 0.0

    def _read(self, claim: Claim, said: list[Any]) -> Found:
        """Raises where it is nothing that the script says, or an answer that another version has kept."""
        if said[0] == b"claimed":
            self._held[claim.token] = claim
            return claim
        return Conflict() if said[0] == b"conflict" else msgspec.msgpack.decode(said[1], type=Kept)

    def _without(self, claim: Claim) -> Found:
        return Claim(claim.name, claim.fingerprint) if self._settings.fail_open else Unavailable()

    # --- to hold and to end ------------------------------------------------------------------------------------------

    def _end(self, ending: _Ending) -> Waiter[bool]:
        """True where Redis has kept the answer."""
        claim, done = ending.claim, Waiter[bool]()
        self._held.pop(claim.token, None)
        ttl = int(self._settings.ttl_seconds * 1000)
        told = self._scripts.run("finish.lua", _key(claim.name), claim.fingerprint, claim.token, ttl, ending.answer)

        def settled() -> None:
            if told.error is not None:
                self._remember(ending)
            done.give(told.error is None and told.value == 1)

        told.then(settled)
        return done

    def _remember(self, ending: _Ending) -> None:
        """To tell it later. Where too much waits, the oldest is lost: its lease ends by itself."""
        self._recall(ending.claim.name)
        self._untold[ending.claim.name] = ending
        self._untold_bytes += len(ending.answer)
        while self._untold_bytes > self._settings.total or len(self._untold) > self._settings.entries:
            self._recall(next(iter(self._untold)))

    def _recall(self, name: str) -> _Ending | None:
        ending = self._untold.pop(name, None)
        self._untold_bytes -= len(ending.answer) if ending else 0
        return ending

    def _hold_on(self) -> None:
        """Extends the leases, and tells what Redis has not been told."""
        for name in list(self._untold):
            ending = self._recall(name)
            if ending is not None and ending.until > time.monotonic():
                self._end(ending)
        for claim in self._held.values():
            self._ask(claim)
        every = self._settings.lease_seconds / EXTENDS
        self._holding_on = asyncio.get_running_loop().call_later(every, self._hold_on)


def _key(name: str) -> str:
    return f"nexus:idempotency:{{{name}}}"
