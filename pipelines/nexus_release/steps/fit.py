"""Whether the model will fit where it is to run, before anything is spent on making it."""

from __future__ import annotations

from dataclasses import asdict

from nexus_release.capacity.gpus import GPUS
from nexus_release.capacity.planner import Placement, place
from nexus_release.capacity.shape import ModelShape, shape_of_config
from nexus_release.capacity.target import FitGate, Target
from nexus_release.frozen import Frozen
from nexus_release.gates import held, keep_evidence
from nexus_release.record import Figure, Verdict
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainRecipe
from nexus_release.wiring import Tools

_GIB = 1 << 30


class FitIn(Frozen):
    train: TrainRecipe
    quantize: QuantizeRecipe
    target: Target
    gate: FitGate


class FitOut(Verdict):
    shape: ModelShape


def fit(given: FitIn, tools: Tools) -> FitOut:
    """Raises BadInput for a base whose configuration is of no model that can be planned, Unreachable or Missing where
    it is not there; a gate's no is `accepted=False`."""
    shape = planned_shape(given.train, tools)
    placement = place(shape, given.quantize.scheme, given.target, given.gate)
    figures = _figures(placement, given.target, given.gate)
    report = {
        "scheme": given.quantize.scheme,
        "shape": shape.model_dump(),
        "target": given.target.model_dump(),
        "placement": asdict(placement),
    }
    return FitOut(
        accepted=not placement.refusal,
        reason=placement.refusal or _summary(placement, given.target),
        figures=figures,
        evidence=keep_evidence(tools.store, figures, report),
        shape=shape,
    )


def planned_shape(recipe: TrainRecipe, tools: Tools) -> ModelShape:
    """Of the model that `train` will leave; of a named base, by its configuration alone."""
    if recipe.base.startswith("scratch://"):
        return _shape_of_recipe(recipe)
    shape = shape_of_config(tools.base_models.config(recipe.base), recipe.base)
    if recipe.steps == 0:
        return shape
    return shape.model_copy(update={"width": 2 if recipe.weights == "bfloat16" else 4})


def _shape_of_recipe(recipe: TrainRecipe) -> ModelShape:
    """Of a model from nothing."""
    return ModelShape(
        layers=recipe.layers,
        hidden=recipe.hidden,
        intermediate=recipe.intermediate,
        heads=recipe.heads,
        kv_heads=recipe.kv_heads,
        head=recipe.hidden // recipe.heads,
        vocabulary=recipe.vocabulary,
        context=recipe.context_tokens,
        tied=False,
        width=2 if recipe.weights == "bfloat16" else 4,
    )


def _figures(placement: Placement, target: Target, gate: FitGate) -> tuple[Figure, ...]:
    devices = f"{placement.tensor_parallel} x {target.gpu}" if target.gpu else "the pod"
    figures = (
        held("memory", placement.needed / _GIB, most=placement.available / _GIB, subject=f"GiB on each of {devices}"),
        held("context", placement.context_tokens, least=gate.min_context_tokens, subject="tokens of each request"),
    )
    if target.gpu is None:
        return figures
    major, minor = GPUS[target.gpu].capability
    return (*figures, held("compute capability", major + minor / 10, subject=target.gpu))


def _summary(placement: Placement, target: Target) -> str:
    on = f"{placement.tensor_parallel} x {target.gpu}" if target.gpu else "the CPU"
    return f"{target.concurrency} requests of {placement.context_tokens} tokens at once fit on {on}"
