"""What an environment says of changes to its plans: `promotion` and `approvals` of its settings."""

from __future__ import annotations

from pydantic import Field

from nexus_release.frozen import Section
from nexus_release.names import EnvironmentName


class Promotion(Section):
    """Where releases come from."""

    lower: EnvironmentName | None = Field(alias="from")
    """The environment in which a release must be stable before it may enter this one; null where releases begin."""


class Over(Section):
    """A bound, and how many people must agree above it."""

    over: int = Field(ge=0)
    """Above it, and not at it."""
    people: int = Field(ge=0)
    """Approvals that are then needed."""


class Approvals(Section):
    """How many people must agree to a change, by its size. Of several rules that hold, the largest number counts."""

    any: int = Field(ge=0)
    """Approvals that every change needs."""
    policies: int = Field(ge=0)
    """Where a change touches who may ask for what."""
    code: int = Field(ge=0)
    """Where a change touches settings or code, which then decide about every later change."""
    traffic: Over
    """By the percent of a model's traffic that one change moves to another release."""
    cost: Over
    """By the percent by which one change raises what all pods of the environment cost an hour at most."""
    callers: Over
    """By the number of callers whose policy names the model."""
