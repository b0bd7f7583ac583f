"""The file with which a person asks for a release."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.documents import parse_yaml, validated
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.graph import ReleaseParams
from nexus_release.names import Line, ModelName
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainRecipe
from nexus_release.suite import Suite
from nexus_release.terminal import plain_line

DAY = "{day}"


class ReleaseSpec(Frozen):
    """What to make. How good it must be is the environment's to say."""

    model: ModelName
    dataset: Line
    train: TrainRecipe = TrainRecipe()
    quantize: QuantizeRecipe = QuantizeRecipe()
    suite: Suite = Suite()


def read_spec(path: Path) -> ReleaseSpec:
    """Raises Missing, or BadInput that names the field."""
    where = plain_line(str(path))
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Missing(f"{where}: no such release file") from None
    return validated(ReleaseSpec, parse_yaml(data, where), lambda _: where)


def asked_for(path: Path, root: Path, environment: str, dataset: str | None = None) -> ReleaseParams:
    """What the file at `path` asks for in an environment; `dataset` stands in for the file's own."""
    spec = read_spec(path)
    return parameters(spec.model_copy(update={"dataset": dataset}) if dataset else spec, root, environment)


def of_the_day(dataset: str, day: date | None) -> str:
    """`{day}` in the URI of a dataset stands for the day, as 2026-03-02. Raises BadInput where there is none."""
    if DAY in dataset and day is None:
        raise BadInput("--day", None, f"the dataset is {plain_line(dataset)}; say of which day")
    return dataset.replace(DAY, day.isoformat()) if day else dataset


def parameters(spec: ReleaseSpec, root: Path, environment: str) -> ReleaseParams:
    """The spec together with the machines and the gates of its environment. Raises BadInput."""
    settings = load_settings(root, environment)
    held = {f"{name}_gate": gate for name, gate in settings.gates}
    asked = {**dict(spec), "environment": environment, "target": settings.target, **held}
    return validated(ReleaseParams, asked, lambda _: "release")
