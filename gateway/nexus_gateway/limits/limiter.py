"""What the story asks of a limiter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nexus_gateway.exchange import Waiter
from nexus_gateway.limits.windows import Left, Limits, Verdict

if TYPE_CHECKING:
    from nexus_gateway.limits.leases import Leases


@dataclass(slots=True)
class Reservation:
    """What one request has taken; given back or corrected once."""

    bucket: str
    tokens: int
    window: int
    """Number of the window that it was counted in."""
    shared: bool = False
    """True where Redis has counted it."""
    leased: bool = False
    """True where it was given away of what Redis had counted before (leases.py)."""
    settled: bool = False


Admitted = tuple[Left, Reservation]
Decision = tuple[Verdict, Reservation | None]
"""None where it is refused."""


class Limiter(Protocol):
    @property
    def shared(self) -> bool:
        """True while all gateways count together."""

    @property
    def lost(self) -> int:
        """Corrections that were not taken where all count together."""

    @property
    def leases(self) -> Leases | None:
        """What it gives away of without asking; None where it never asks."""

    async def begin(self) -> None:
        """Before the first request, in the loop."""

    def reserve(self, bucket: str, limits: Limits, tokens: int) -> Waiter[Decision]:
        """Counts a request and `tokens`, or says no and counts nothing: who is refused waits no longer for it."""

    def at_once(self, bucket: str, limits: Limits, tokens: int) -> Admitted | None:
        """The same, where it can be admitted without waiting. Else None, and nothing is counted: `reserve` decides."""

    def settle(self, reservation: Reservation, tokens: int) -> None:
        """Corrects the estimate by the true count. Never waits and never raises; a second call changes nothing."""

    def refund(self, reservation: Reservation) -> None:
        """The request has cost nothing: gives back all that it took."""

    async def close(self) -> None:
        """After the last request."""
