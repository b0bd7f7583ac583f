"""How an environment watches live traffic for drift: `drift` of its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nexus_release.frozen import Section

Bound = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Hysteresis(Section):
    """Two bounds, so that a figure which stays about one of them does not ring at every window."""

    upper: Bound
    """Above it a feature has drifted."""
    lower: Bound
    """Below it it has come back."""

    @model_validator(mode="after")
    def _ordered(self) -> Hysteresis:
        if self.lower > self.upper:
            raise ValueError(f"lower {self.lower} is above upper {self.upper}")
        return self


class Measuring(Section):
    """All that a report follows from besides the log. It is written into the report, so that it can be made again."""

    max_records: int = Field(default=20_000, ge=1)
    """Records of a window that are looked at: those whose lines have the smallest SHA-256."""
    min_records: int = Field(default=500, ge=1)
    """Records of either window below which nothing is said."""
    significance: float = Field(default=0.001, gt=0, lt=1)
    """Probability that traffic which has not moved exceeds in any feature what chance allows."""
    psi: Hysteresis = Hysteresis(upper=0.25, lower=0.1)
    """Of the population stability index, for features of categories (distributions.py)."""
    gap: Hysteresis = Hysteresis(upper=0.2, lower=0.1)
    """Of the Kolmogorov-Smirnov statistic, 0 to 1, for features of numbers: so great a share of traffic lies
    elsewhere."""


class Budget(Section):
    """What drift may ask for. A release that a person or the clock asks for is not counted, its GPU-hours are."""

    days: int = Field(default=30, ge=1)
    """Over which is counted."""
    releases: int = Field(default=4, ge=0)
    """That drift asks for, of one model; 0 lets it ask for none."""
    gpu_hours: float = Field(default=100.0, gt=0, allow_inf_nan=False)
    """That steps have spent, of all models of the work folder, above which no more is asked for."""


class DriftPolicy(Section):
    window_hours: int = Field(default=24, ge=1)
    """Length of a window, where `nexus drift` is not told when it begins. Windows are aligned to 1970-01-01, UTC."""
    reference_hours: int = Field(default=168, ge=1)
    """From the commit that made a release stable on: the traffic that later windows are held against. A week, since
    traffic has weekdays."""
    measuring: Measuring = Measuring()
    """How a window is held against the reference."""
    windows: int = Field(default=3, ge=1)
    """Windows one after the other that must have drifted until drift is declared."""
    cooldown_hours: int = Field(default=168, ge=0)
    """From one event to the next of the same model, whatever drifts meanwhile."""
    budget: Budget = Budget()
    """Above which drift is declared, and no release asked for."""
