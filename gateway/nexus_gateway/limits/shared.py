"""Counts in Redis, for all gateways together; in this process while Redis does not answer.

Open by default: while Redis is away each gateway limits by itself, so that N of them admit up to N times as much. One
batch waits 50 ms at most, or as long as is set. Who is told: `changed`, once at each change between up and down.
"""

from __future__ import annotations

import hashlib
from typing import Any

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.limits.leases import LEASE_SECONDS, Leases
from nexus_gateway.limits.limiter import Admitted, Decision, Reservation
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.windows import WINDOW_SECONDS, Counted, Limits, Verdict, judged, verdict_of
from nexus_gateway.redis_scripts import Changed, RedisScripts

DECISION_SECONDS = 0.05


class RedisLimiter:
    """The port `Limiter`, for one asyncio loop."""

    def __init__(
        self,
        url: str,
        changed: Changed,
        *,
        fail_open: bool = True,
        deadline: float = DECISION_SECONDS,
        window: float = WINDOW_SECONDS,
        lease: float = LEASE_SECONDS,
    ) -> None:
        """`deadline` of one batch, `window` and `lease`, in seconds. Raises ValueError for a URL that is none."""
        self._scripts = RedisScripts(url, __package__, ("decide.lua", "correct.lua"), changed, deadline)
        self._fail_open, self._window = fail_open, window
        self._alone = MemoryLimiter(window=window)
        self.leases = Leases(window, self._add, lease)
        self.lost = 0
        """Corrections that Redis did not take."""

    @property
    def shared(self) -> bool:
        return self._scripts.up

    async def begin(self) -> None:
        await self._scripts.begin()

    def reserve(self, bucket: str, limits: Limits, tokens: int) -> Waiter[Decision]:
        leased = self.leases.take(bucket, limits, tokens)
        if leased is not None:
            return given((verdict_of(leased[0], limits), leased[1]))
        most = [-1 if limit is None else limit for limit in (limits.requests, limits.tokens)]
        more = self.leases.ask(bucket, limits)
        asked = self._scripts.run("decide.lua", _key(bucket), int(self._window * 1000), *most, tokens, *more)
        decided: Waiter[Decision] = Waiter()

        def answered() -> None:
            decision = self._decision(asked, bucket, limits, tokens, more)
            if any(more):
                self.leases.answered(bucket)
            decided.give(decision)

        asked.then(answered)
        return decided

    def at_once(self, bucket: str, limits: Limits, tokens: int) -> Admitted | None:
        return self.leases.take(bucket, limits, tokens)

    def settle(self, reservation: Reservation, tokens: int) -> None:
        if not reservation.shared:
            self._alone.settle(reservation, tokens)
        elif not reservation.settled:
            self._correct(reservation, 0, max(0, tokens) - reservation.tokens)

    def refund(self, reservation: Reservation) -> None:
        if not reservation.shared:
            self._alone.refund(reservation)
        elif not reservation.settled:
            self._correct(reservation, -1, -reservation.tokens)

    async def close(self) -> None:
        """Brings the last corrections; those that Redis does not take in time are lost and counted."""
        self.leases.close()
        await self._scripts.close()

    def _correct(self, reservation: Reservation, requests: int, tokens: int) -> None:
        reservation.settled = True
        if not requests and not tokens:
            return
        if reservation.leased:
            self.leases.owe(reservation.bucket, reservation.window, requests, tokens)
        else:
            self._add(reservation.bucket, reservation.window, requests, tokens, 1)

    def _add(self, bucket: str, window: int, requests: int, tokens: int, corrections: int) -> None:
        told = self._scripts.run("correct.lua", _key(bucket), window, requests, tokens)

        def answered() -> None:
            self.lost += corrections if told.error is not None else 0

        told.then(answered)

    def _decision(
        self, asked: Waiter[Any], bucket: str, limits: Limits, tokens: int, more: tuple[int, int]
    ) -> Decision:
        try:
            if asked.error is not None:
                raise asked.error
            return self._verdict(asked.value, bucket, limits, tokens, more)
        except Exception:  # whatever a broken server says, nobody may wait for ever
            return self._without(bucket, limits, tokens)

    def _verdict(self, answer: Any, bucket: str, limits: Limits, tokens: int, more: tuple[int, int]) -> Decision:
        admitted, elapsed, requests, requests_before, spent, spent_before, number, leased = map(int, answer)
        counted = Counted(requests, requests_before, spent, spent_before)
        verdict = judged(counted, limits, tokens, elapsed / 1000, self._window)
        if leased:
            with_it = Counted(requests + 1, requests_before, spent + tokens, spent_before)
            self.leases.granted(bucket, limits, with_it, number, elapsed / 1000, more)
        return verdict, Reservation(bucket, tokens, number, shared=True) if admitted else None

    def _without(self, bucket: str, limits: Limits, tokens: int) -> Decision:
        if self._fail_open:
            return self._alone.reserve(bucket, limits, tokens).value
        return Verdict(False, "unavailable", 1), None


def _key(bucket: str) -> str:
    """A name of fixed form and length, whatever the bucket is called; `{}` keeps its keys on one node of a cluster."""
    return f"nexus:limit:{{{hashlib.sha256(bucket.encode(errors='surrogatepass')).hexdigest()[:32]}}}"
