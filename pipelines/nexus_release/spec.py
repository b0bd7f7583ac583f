"""The file with which a person asks for a release."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from nexus_release.config import load_settings
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.graph import ReleaseParams
from nexus_release.names import ModelName
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainRecipe


class ReleaseSpec(Frozen):
    """What to make. How good it must be is the environment's to say."""

    model: ModelName
    dataset: str
    train: TrainRecipe = TrainRecipe()
    quantize: QuantizeRecipe = QuantizeRecipe()


def read_spec(path: Path) -> ReleaseSpec:
    """Raises Missing, or BadInput that names the field."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise Missing(f"{path}: no such release file") from None
    except yaml.YAMLError as error:
        raise BadInput(str(path), str(error).splitlines()[0], "write valid YAML") from None
    try:
        return ReleaseSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise BadInput(f"{path}: {field}", first.get("input"), first["msg"]) from None


def parameters(spec: ReleaseSpec, root: Path, environment: str) -> ReleaseParams:
    """The spec together with the gates of its environment."""
    gates = load_settings(root, environment).gates
    return ReleaseParams(
        model=spec.model,
        environment=environment,
        dataset=spec.dataset,
        data_gate=gates.data,
        train=spec.train,
        quantize=spec.quantize,
        quality_gate=gates.quality,
    )
