"""Of an environment's settings, section `canary`, what the page shows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class CanarySection(BaseModel):
    model_config = ConfigDict(frozen=True)

    steps: tuple[int, ...] = ()
    """Percent of the traffic, one after the other."""
    then: str = ""
    """What follows the last one."""
