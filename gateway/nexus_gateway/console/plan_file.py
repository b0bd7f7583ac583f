"""Of a model's plan (`environments/<env>/models/<model>.yaml`) what the page shows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Pointer(_Part):
    release: str


class Canary(Pointer):
    weight: int


class PlanFile(_Part):
    model: str
    stable: Pointer
    canary: Canary | None = None
    retained: tuple[Pointer, ...] = ()

    def roles(self) -> list[tuple[str, str, int | None]]:
        """(release, what it is here, percent of the traffic where it is the canary)."""
        canary = [(self.canary.release, "canary", self.canary.weight)] if self.canary else []
        kept = [(one.release, "retained", None) for one in self.retained]
        return [(self.stable.release, "stable", None), *canary, *kept]
