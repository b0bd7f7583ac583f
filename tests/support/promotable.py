"""Releases whose records have measured all that an environment may ask, and remotes in which they go from one
environment to the next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus_release.gates import Bounds, held, texts
from nexus_release.plan import Plan, Pointer, admitted
from nexus_release.record import Content, Figure, GateName, GateResult, Record
from nexus_release.schemes import Scheme
from nexus_release.steps import evaluate, inspect, validate
from nexus_release.steps.evaluate import QualityGate
from nexus_release.steps.inspect import ArtifactGate
from nexus_release.steps.validate import DataGate
from nexus_release.wiring import Connections, Tools

from .releases import SHAPE, keep_signed, make_record
from .remotes import Remote, plant_house
from .signing import COMPANY, trust

MODEL = "pydoc-chat"
SCHEME: Scheme = "W8A8"
CLUSTERS = ("dev", "staging", "prod")
GOOD = {"perplexity": 0.005, "agreement": 0.98, "accuracy": -0.02, "refused share": 0.1, "rows": 4211}
"""The bad end of each figure that an environment may bound; others are at their bound's middle."""


def promotable(seed: int, *, model: str = MODEL, worst: Mapping[str, float] = GOOD, **settings: str) -> Record:
    """A record as the steps leave it. `worst` replaces bad ends of figures, `settings` what the gates were asked."""
    made = make_record(model, seed)
    asked: Mapping[GateName, Mapping[str, Bounds]] = {
        "data": validate.bounds(DataGate()),
        "artifact": inspect.bounds(ArtifactGate(), SCHEME, SHAPE) or {},
        "quality": evaluate.bounds(QualityGate()),
    }
    said = {"data": texts("", DataGate().model_dump(exclude={"reference", "on_drift"}))}
    said["quality"] = texts("", QualityGate().model_dump())

    def measured(result: GateResult) -> GateResult:
        if result.gate not in asked:
            return result
        figures = tuple(_figure(name, bounds, {**GOOD, **worst}) for name, bounds in asked[result.gate].items())
        own = {name: value for name, value in settings.items() if name in said.get(result.gate, {})}
        return result.model_copy(update={"figures": figures, "settings": {**said.get(result.gate, {}), **own}})

    gates = tuple(measured(result) for result in made.content.gates)
    return Record(content=Content(**{**dict(made.content), "gates": gates}), observed=made.observed)


def _figure(name: str, bounds: Bounds, worst: Mapping[str, float]) -> Figure:
    sides = {"base": "21.30", "candidate": "21.40"} if name in ("perplexity", "agreement", "accuracy") else {}
    if name not in worst:
        inside = (
            (bounds.least + bounds.most) / 2
            if bounds.least is not None and bounds.most is not None
            else bounds.least
            if bounds.least is not None
            else (bounds.most or 0) / 2
        )
        return held(name, inside, least=bounds.least, most=bounds.most)
    bad = worst[name]
    low, high = (bad / 2, bad) if bounds.most is not None else (bad, bad)
    subject = {"subject": "held-out"} if name == "accuracy" else {}
    return held(name, bad, low=low, high=high, least=bounds.least, most=bounds.most, **sides, **subject)


def plant_clusters(root: Path) -> None:
    """The house, and a company's key that every cluster trusts."""
    plant_house(root)
    for environment in CLUSTERS:
        trust(root, environment, COMPANY)


class Company:
    """A remote, and a machine with a store in which the company has signed every release that it makes."""

    def __init__(self, remote: Remote, folder: Path) -> None:
        self.remote = remote
        self.connections = Connections(
            work=(folder / "work").as_uri(), registry="", remote=str(remote.path), signing_key=COMPANY
        )
        self.tools = Tools(self.connections)

    def make(self, record: Record, *, signed: bool = True) -> Pointer:
        """The record on main, and its bytes signed in the store."""
        if signed:
            keep_signed(record.content, self.tools)
        return self.remote.record(record)

    def stable(self, record: Record, *environments: str, signed: bool = True) -> Plan:
        """The same, stable in environments."""
        pointer = self.make(record, signed=signed)
        plan = admitted(None, record.content.model, pointer)
        for environment in environments:
            self.remote.plan(plan, f"{pointer.release[:12]} in {environment}", environment)
        return plan
