"""Gives the release its id, and the registry a version that carries it."""

from __future__ import annotations

from nexus_release.digests import HexId
from nexus_release.frozen import Artifact, Frozen
from nexus_release.names import ModelName
from nexus_release.steps.evaluate import EvaluateOut
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainOut, TrainRecipe
from nexus_release.steps.validate import ValidateOut
from nexus_release.wiring import Tools


class RegisterIn(Frozen):
    model: ModelName
    validated: ValidateOut
    train_recipe: TrainRecipe
    trained: TrainOut
    quantize_recipe: QuantizeRecipe
    artifact: Artifact
    evaluated: EvaluateOut


class RegisterOut(Frozen):
    release: HexId
    content: str
    """The record's content as canonical JSON; its SHA-256 is the release id."""
    version: int


def register(given: RegisterIn, tools: Tools) -> RegisterOut:
    """Idempotent by release id. Raises Unreachable where the registry does not answer."""
    raise NotImplementedError
