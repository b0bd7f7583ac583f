"""The circuit breaker: a table of endpoints, without clock and without I/O.

closed --failures--> open --reset--> half-open --success--> closed
                      ^                  |
                      +-----failure------+
Half-open lets one request through; the others wait for its outcome. Each gateway process counts for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True)
class BreakerSettings:
    max_failures: int = 5
    """In a row."""
    reset_seconds: float = 30.0


@dataclass(slots=True)
class Circuit:
    failures: int = 0
    opened_at: float = 0.0
    state: State = "closed"
    probing: bool = False


class Breakers:
    """Times are seconds of any clock that does not go back."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self.circuits: dict[str, Circuit] = {}
        """Of those endpoints whose last answer was not a good one."""

    def admits(self, endpoint: str, now: float) -> bool:
        """True where a request may be sent; a half-open circuit's only probe is then taken."""
        circuit = self.circuits.get(endpoint)
        if circuit is None or circuit.state == "closed":
            return True
        if circuit.state == "open" and now - circuit.opened_at >= self._settings.reset_seconds:
            circuit.state = "half_open"
        if circuit.state == "half_open" and not circuit.probing:
            circuit.probing = True
            return True
        return False

    def would_admit(self, endpoint: str, now: float) -> bool:
        """What `admits` would say, without taking the probe."""
        circuit = self.circuits.get(endpoint)
        if circuit is None or circuit.state == "closed":
            return True
        rested = circuit.state == "half_open" or now - circuit.opened_at >= self._settings.reset_seconds
        return rested and not circuit.probing

    def untroubled(self, endpoint: str) -> bool:
        """True where its last answer was a good one, or it has given none: the next changes nothing."""
        return endpoint not in self.circuits

    def succeeded(self, endpoint: str) -> None:
        self.circuits.pop(endpoint, None)

    def failed(self, endpoint: str, now: float) -> bool:
        """True where this failure opened the circuit."""
        circuit = self.circuits.setdefault(endpoint, Circuit())
        circuit.failures += 1
        circuit.probing = False
        if circuit.state == "half_open" or circuit.failures >= self._settings.max_failures:
            opened = circuit.state != "open"
            circuit.state, circuit.opened_at = "open", now
            return opened
        return False

    def undecided(self, endpoint: str) -> None:
        """The request ended without saying anything of the endpoint: the client left."""
        if (circuit := self.circuits.get(endpoint)) is not None:
            circuit.probing = False

    def retry_after(self, endpoint: str, now: float) -> int:
        """Whole seconds until a probe may go, at least 1."""
        circuit = self.circuits.get(endpoint)
        left = self._settings.reset_seconds - (now - circuit.opened_at) if circuit else 0.0
        return max(1, int(left) + (left > int(left)))

    def state(self, endpoint: str) -> State:
        circuit = self.circuits.get(endpoint)
        return circuit.state if circuit else "closed"

    def show(self, endpoint: str, now: float) -> dict[str, object]:
        circuit = self.circuits.get(endpoint, Circuit())
        left = self.retry_after(endpoint, now) if circuit.state == "open" else None
        return {"state": circuit.state, "failures": circuit.failures, "retry_after_seconds": left}

    def keep(self, endpoints: set[str]) -> None:
        """Forgets endpoints that no configuration names any more; the others keep their state across a reload."""
        for gone in self.circuits.keys() - endpoints:
            del self.circuits[gone]


def is_failure(status: int) -> bool:
    """What an endpoint's answer says of its health. 4xx is the client's doing; 501 is an answer like any other."""
    return status >= 500 and status != 501
