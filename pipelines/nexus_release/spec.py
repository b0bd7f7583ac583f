"""The file with which a person asks for a release."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.data_declaration import Declaration
from nexus_release.documents import parse_yaml, validated
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.graph import ReleaseParams
from nexus_release.names import Line, ModelName
from nexus_release.plan import read_plan
from nexus_release.ports import Repository
from nexus_release.record import read_record
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainRecipe
from nexus_release.steps.validate import DataGate
from nexus_release.suite import Suite
from nexus_release.terminal import plain_line

DAY = "{day}"


class ReleaseSpec(Frozen):
    """What to make. How good it must be is the environment's to say."""

    model: ModelName
    dataset: Line
    data: Declaration | None = None
    """What is declared of the dataset; an environment may demand it (`gates.data.declaration`)."""
    train: TrainRecipe = TrainRecipe()
    quantize: QuantizeRecipe = QuantizeRecipe()
    suite: Suite = Suite()


def read_spec(path: Path) -> ReleaseSpec:
    """Raises Missing, or BadInput that names the field."""
    where = plain_line(str(path))
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Missing(f"{where}: no such release file; pipelines/specs/ has examples") from None
    return validated(ReleaseSpec, parse_yaml(data, where), lambda _: where)


@dataclass(frozen=True)
class Ask:
    """Where and why a release is asked for."""

    root: Path
    """The repository, whose settings say how good a release must be."""
    environment: str
    remote: Callable[[], Repository]
    """Called where main must be asked what is stable."""
    dataset: str | None = None
    """URI that stands in for the file's own."""
    reason: str | None = None
    """Digest of the drift report that asks for it."""


def asked_for(path: Path, ask: Ask) -> ReleaseParams:
    """What the file at `path` asks for."""
    return parameters(read_spec(path), ask)


def of_the_day(dataset: str, day: date | None) -> str:
    """`{day}` in the URI of a dataset stands for the day, as 2026-03-02. Raises BadInput where there is none."""
    if DAY in dataset and day is None:
        raise BadInput("--day", None, f"the dataset is {plain_line(dataset)}; say of which day")
    return dataset.replace(DAY, day.isoformat()) if day else dataset


def parameters(spec: ReleaseSpec, ask: Ask) -> ReleaseParams:
    """The spec together with the machines and the gates of its environment. Raises BadInput; Missing or Unreachable
    for main."""
    settings = load_settings(ask.root, ask.environment)
    asked = {
        **dict(spec),
        "environment": ask.environment,
        "dataset": ask.dataset or spec.dataset,
        "target": settings.target,
        **{f"{name}_gate": gate for name, gate in settings.gates},
        "reason": ask.reason,
    }
    params = validated(ReleaseParams, asked, lambda _: "release")
    return params.model_copy(update={"data_gate": _resolved(params.data_gate, spec.model, ask)})


def _resolved(gate: DataGate, model: str, ask: Ask) -> DataGate:
    """With a digest for `stable`, so that the step is a function of its input; at a model's first release there is
    none. A release that drift asks for is not refused for it."""
    stable = stable_dataset(ask.remote(), ask.environment, model) if gate.reference == "stable" else gate.reference
    return gate.model_copy(update={"reference": stable, "on_drift": "report" if ask.reason else gate.on_drift})


def stable_dataset(repository: Repository, environment: str, model: str) -> str | None:
    """The dataset of the release that main's plan calls stable; None where the environment has no such model."""
    with tempfile.TemporaryDirectory(prefix="nexus-main-") as folder:
        repository.checkout(Path(folder))
        plan = read_plan(Path(folder), environment, model)
        if plan is None:
            return None
        return read_record(Path(folder), model, plan.stable.release, plan.stable.record).content.dataset.digest
