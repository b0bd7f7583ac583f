"""The load scenarios of `ops/load/scenarios.json`, which k6's scripts read too: what is asked when, what must hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..support.repository import ROOT

DECLARED = ROOT / "ops" / "load" / "scenarios.json"
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1000)]
"""Requests a second; a laptop is not to be flooded by a slip."""
Percentile = Annotated[str, Field(pattern=r"^p(\d\d?|\d\d?\.\d+)$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Strict):
    failed: Share
    """Most requests that may get no whole answer."""
    refused: Share
    """Most that may be told to come later: 429 or 503."""
    dropped: int = Field(ge=0)
    """Most that may not be sent, since `at_once` were under way."""
    first_ms: dict[Percentile, float] = {}
    """Percentile -> most milliseconds to the first text, of what was answered."""
    whole_ms: dict[Percentile, float] = {}
    """The same to the answer's end."""


class Phase(_Strict):
    name: str
    seconds: float = Field(gt=0, le=600)
    start: Rate = Field(alias="from")
    """Requests a second at its beginning; from there on a straight line to `end`."""
    end: Rate = Field(alias="to")
    thresholds: Thresholds

    def due(self) -> list[float]:
        """Seconds from the phase's beginning at which requests come: the n-th where n have come due by the rate."""
        slope = (self.end - self.start) / self.seconds
        return [_reached(number, self.start, slope) for number in range(int(self.requests))]

    @property
    def requests(self) -> float:
        return (self.start + self.end) / 2 * self.seconds


class Scenario(_Strict):
    about: str
    at_once: int = Field(gt=0, le=2000)
    """Most requests under way."""
    phases: tuple[Phase, ...] = Field(min_length=1)


class Request(_Strict):
    model: str
    prompt: str
    max_tokens: int = Field(gt=0)


class Declared(_Strict):
    request: Request
    scenarios: dict[str, Scenario]


def declared(path: Path = DECLARED) -> Declared:
    return Declared.model_validate(json.loads(path.read_text(encoding="utf-8")))


def _reached(number: int, start: float, slope: float) -> float:
    """When start*t + slope*t²/2 is `number`."""
    if not slope:
        return number / start
    return (math.sqrt(start**2 + 2 * slope * number) - start) / slope
