"""What an environment promises its callers, and where who is called at night reads on: `alerting` of its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from nexus_release.frozen import Section

Share = Annotated[float, Field(gt=0, lt=1)]
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds, of the gateway's histogram of first bytes: between two of them nothing is known."""


def _of_the_histogram(seconds: float) -> float:
    if seconds not in BOUNDS:
        raise ValueError(f"the gateway counts by {', '.join(f'{one:g}' for one in BOUNDS)}: take one of these")
    return seconds


class Objectives(Section):
    """Of each route, over `window_days`. What is left to 1 is the error budget (docs/reference/slo.md)."""

    availability: Share
    """Share of requests that do not end with a status of 5xx."""
    first_byte: Share
    """Share of answers whose first byte, or first event, comes within `first_byte_seconds`."""
    first_byte_seconds: Annotated[float, AfterValidator(_of_the_histogram)]
    """A bound of the histogram."""
    window_days: int = Field(ge=1, le=90)
    """For which the budget is given. Prometheus must keep so many days to show what is left of it."""
    least_requests: int = Field(ge=1)
    """Of a route in an alert's long window; fewer prove nothing, and ring for nobody."""


class AlertSettings(Section):
    """What rings, besides what follows from the other settings."""

    runbook: Annotated[str, StringConstraints(pattern=r"^https?://[^\s#]+$")]
    """URL at which people read docs/reference/runbook.md; each alert links to its own heading there."""
    objectives: Objectives
    """What burns the error budget."""
