"""The requests of this process that have a claim and are not answered yet, by the names of their keys."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_gateway.idempotency.recording import Recording, Room
from nexus_gateway.idempotency.settings import IdempotencySettings
from nexus_gateway.idempotency.store import Claim, Store
from nexus_gateway.telemetry.record import RequestRecord


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that others may join."""

    claim: Claim
    recording: Recording
    record: RequestRecord
    """Of the first request."""


class UnderWay:
    """What all requests of one process share. Not thread-safe: it belongs to the loop."""

    def __init__(self, store: Store, settings: IdempotencySettings) -> None:
        self.store, self.largest = store, settings.largest
        self.room = Room(settings.total)
        self._begun: dict[str, Begun] = {}

    def find(self, name: str) -> Begun | None:
        return self._begun.get(name)

    def begin(self, begun: Begun) -> None:
        """Others may join, unless everybody has left already."""
        if begun.recording.closed.settled:
            self.store.free(begun.claim)
        else:
            self._begun[begun.claim.name] = begun

    def end(self, claim: Claim) -> bool:
        """Nobody can join any more. False where it had ended."""
        begun = self._begun.get(claim.name)
        if begun is None or begun.claim is not claim:
            return False
        del self._begun[claim.name]
        return True

    def give_up(self, claim: Claim) -> None:
        """The same, and the key is free. Harmless where it had ended."""
        if self.end(claim):
            self.store.free(claim)
