"""The chaos scenarios of `ops/chaos/scenarios.yaml`: a fault, what must be seen while it holds, and after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ..support.repository import ROOT

DECLARED = ROOT / "ops" / "chaos" / "scenarios.yaml"
PLAIN = "200"
BROKEN = "broken"
Caller = Literal["alone", "whole", "covered", "far", "keyed"]
Answer = Annotated[str, Field(pattern=r"^(broken|nothing|200( by [\w-]+)?|[45]\d\d [a-z_]+)$")]
Alert = Annotated[str, Field(pattern=r"^Nexus\w+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Client(_Strict):
    """What one caller gets while the fault holds."""

    answers: tuple[Answer, ...] = Field(min_length=1)
    """Each of them is seen."""
    also: tuple[Answer, ...] = ()
    """May be seen, and need not."""
    at_least_seconds: float = 0.0
    """That a good answer takes."""
    within_seconds: float = 8.0
    """That any takes, also on a machine that has much else to do."""


class Scenario(_Strict):
    fault: str
    strike: str
    """The fault's name in `tests/chaos/faults.py`."""
    decisions: bool = False
    """Whether the gateway keeps a decision log. While it does, no request goes straight, on whichever edge."""
    needs: Literal["", "namespaces"] = ""
    client: dict[Caller, Client]
    """Who is not named gets plain answers."""
    metrics: tuple[str, ...] = ()
    """Queries of Prometheus, each of which gives something at some time of the fault."""
    alerts: tuple[Alert, ...]
    """That ring, and no others,"""
    may_ring: tuple[Alert, ...] = ()
    """but perhaps these, which hang on how many requests fail of all."""
    after: tuple[str, ...] = ()
    """Queries that give something after the fault."""

    def of(self, caller: Caller) -> Client:
        return self.client.get(caller, Client(answers=(PLAIN,)))


def scenarios(path: Path = DECLARED) -> dict[str, Scenario]:
    """By name. Raises pydantic's ValidationError for what is none."""
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Scenario.model_validate(body) for name, body in declared.items()}
