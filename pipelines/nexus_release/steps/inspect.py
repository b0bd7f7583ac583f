"""Holds the quantized checkpoint against its base by their bytes: what would answer gibberish is never loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from nexus_release.capacity.shape import ModelShape, shape_of_config, weight_bytes
from nexus_release.errors import BadInput
from nexus_release.fidelity import Fidelity, fidelity, identical
from nexus_release.frozen import Artifact, Frozen
from nexus_release.gates import Bounds, held, keep_evidence, line, objection
from nexus_release.inspection.checkpoint import inspect_checkpoint
from nexus_release.ports import CheckpointPair
from nexus_release.record import Figure, Verdict, decimal
from nexus_release.schemes import Scheme
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.wiring import Tools


class SchemeBounds(Frozen):
    """How far a tensor may be from its base in one scheme. Shares are from 0 to 1."""

    max_relative_error: float = Field(gt=0, le=1)
    """Of a whole tensor: the Frobenius norm of the difference by that of the base."""
    max_row_error: float = Field(gt=0, le=1)
    """The same of the row that is worst: an output that one wrong scale has spoilt."""
    max_zeros: float = Field(ge=0, le=1)
    """Share of a tensor's weights that rounding has made zero."""


_BOUNDS: Mapping[Scheme, SchemeBounds] = {
    "FP8_DYNAMIC": SchemeBounds(max_relative_error=0.05, max_row_error=0.1, max_zeros=0.05),
    "W8A8": SchemeBounds(max_relative_error=0.05, max_row_error=0.15, max_zeros=0.15),
    "W4A16": SchemeBounds(max_relative_error=0.3, max_row_error=0.5, max_zeros=0.4),
}
"""About twice what good checkpoints have: E4M3's 3 bits of fraction leave 0.026 of any weight; a row of normally
distributed weights has 0.008 in 8 bits, more with outliers; GPTQ's 4 bits in groups of 128 have 0.13 to 0.16."""


class ArtifactGate(Frozen):
    """What a quantized checkpoint's bytes must be like, beside what no checkpoint may hold (inspection/)."""

    size_tolerance: float = Field(default=0.1, gt=0, lt=1)
    """By how much the size may differ from what shape and scheme make, relative: 0.1 is 10 %."""
    min_scale: float = Field(default=0.5, gt=0, le=1)
    max_scale: float = Field(default=2.0, ge=1)
    """Of a scale, by what the largest weight under it asks for."""
    max_saturated: float = Field(default=0.1, ge=0, le=1)
    """Share of a tensor's stored numbers at an end of their range."""
    schemes: dict[Scheme, SchemeBounds] = Field(default_factory=lambda: dict(_BOUNDS))
    """Bounds of each scheme; one that is left out refuses the scheme."""


class InspectIn(Frozen):
    base: Artifact
    artifact: Artifact
    recipe: QuantizeRecipe
    shape: ModelShape
    """For which the machines were planned."""
    gate: ArtifactGate


class InspectOut(Verdict):
    pass


def inspect(given: InspectIn, tools: Tools) -> InspectOut:
    """Reads every byte of both and runs nothing. A checkpoint that cannot be read is refused, `accepted=False`.

    Raises Missing or DigestMismatch where the store does not hold one of them.
    """
    base, artifact = (tools.store.get(one.digest) for one in (given.base, given.artifact))
    try:
        inspect_checkpoint(artifact, "the quantized checkpoint")
        if refusal := _other_shape(artifact, given.shape):
            return _outcome(tools, (), {}, refusal)
        pair = tools.weights.pair(base, artifact)
        if refusal := _other_tensors(pair):
            return _outcome(tools, (), {}, refusal)
        found, changed = _measured(pair)
    except BadInput as error:
        return _outcome(tools, (), {}, f"the quantized checkpoint cannot be read: {error}")
    asked = bounds(given.gate, given.recipe.scheme, given.shape)
    if asked is None:
        return _outcome(tools, (), {}, f"gates.artifact.schemes has no bounds for {given.recipe.scheme}")
    figures = (
        *_sizes(pair, given, asked),
        *_errors(found, asked),
        *_scales(found, asked),
        held("changed", len(changed), most=0, subject=", ".join(changed[:3]) or "tensors that are not quantized"),
    )
    return _outcome(tools, figures, _report(found, changed), "")


def bounds(gate: ArtifactGate, scheme: Scheme, shape: ModelShape) -> Mapping[str, Bounds] | None:
    """By the figure's name; None where the gate has no bounds for the scheme. What has no bound that an environment
    could set (that there are quantized tensors, and that no other has changed) is not among them."""
    own = gate.schemes.get(scheme)
    if own is None:
        return None
    ratio, tolerance = weight_bytes(shape, scheme) / weight_bytes(shape, None), gate.size_tolerance
    return {
        "size by plan": Bounds(most=1 + tolerance),
        "size by base": Bounds(least=ratio * (1 - tolerance), most=ratio * (1 + tolerance)),
        "relative error": Bounds(most=own.max_relative_error),
        "row error": Bounds(most=own.max_row_error),
        "zeros": Bounds(most=own.max_zeros),
        "saturated": Bounds(most=gate.max_saturated),
        "least scale": Bounds(least=gate.min_scale),
        "largest scale": Bounds(most=gate.max_scale),
    }


def _other_shape(artifact: Path, planned: ModelShape) -> str:
    config = json.loads((artifact / "config.json").read_text(encoding="utf-8"))
    found = shape_of_config(config, "the quantized checkpoint")
    differ = [name for name in ModelShape.model_fields if getattr(found, name) != getattr(planned, name)]
    told = (f"{name} {getattr(found, name)} instead of {getattr(planned, name)}" for name in differ)
    return f"it is of another shape than planned: {', '.join(told)}" if differ else ""


def _other_tensors(pair: CheckpointPair) -> str:
    if pair.missing:
        return f"{len(pair.missing)} tensors of the base are missing, first {pair.missing[0]}"
    return f"{len(pair.added)} tensors are not of the base, first {pair.added[0]}" if pair.added else ""


def _measured(pair: CheckpointPair) -> tuple[list[Fidelity], list[str]]:
    """(every quantized tensor, names of others that are not the base's bit for bit)."""
    found, changed = [], []
    for tensor in pair.tensors:
        if tensor.numbers is not None:
            found.append(fidelity(tensor))
        elif not identical(tensor):
            changed.append(tensor.name)
    return found, changed


def _sizes(pair: CheckpointPair, given: InspectIn, asked: Mapping[str, Bounds]) -> tuple[Figure, ...]:
    planned, by_base = weight_bytes(given.shape, given.recipe.scheme), asked["size by base"]
    return (
        held("size by plan", pair.candidate_bytes / planned, most=asked["size by plan"].most),
        held(
            "size by base",
            pair.candidate_bytes / pair.base_bytes,
            least=by_base.least,
            most=by_base.most,
            base=str(pair.base_bytes),
            candidate=str(pair.candidate_bytes),
        ),
    )


def _errors(found: Sequence[Fidelity], asked: Mapping[str, Bounds]) -> tuple[Figure, ...]:
    if not found:
        return (held("quantized tensors", 0, least=1),)
    return (
        held("quantized tensors", len(found), least=1),
        _worst("relative error", found, lambda one: one.relative_error, asked),
        _worst("row error", found, lambda one: one.worst_row, asked),
        _worst("zeros", found, lambda one: one.zeros, asked),
    )


def _scales(found: Sequence[Fidelity], asked: Mapping[str, Bounds]) -> tuple[Figure, ...]:
    if not found:
        return ()
    least = min(found, key=lambda one: one.least_scale)
    return (
        _worst("saturated", found, lambda one: one.saturated, asked),
        held("least scale", least.least_scale, least=asked["least scale"].least, subject=least.name),
        _worst("largest scale", found, lambda one: one.most_scale, asked),
    )


def _worst(
    name: str, found: Sequence[Fidelity], of: Callable[[Fidelity], float], asked: Mapping[str, Bounds]
) -> Figure:
    worst = max(found, key=of)
    return held(name, of(worst), most=asked[name].most, subject=worst.name)


def _report(found: Sequence[Fidelity], changed: Sequence[str]) -> dict[str, object]:
    """Every tensor, worst first."""
    tensors = sorted(found, key=lambda one: (-one.relative_error, one.name))
    numbers = (
        {key: value if isinstance(value, str | bool) else decimal(value) for key, value in asdict(one).items()}
        for one in tensors
    )
    return {"tensors": list(numbers), "changed": list(changed)}


def _outcome(tools: Tools, figures: tuple[Figure, ...], report: Mapping[str, object], refusal: str) -> InspectOut:
    refusal = refusal or objection(figures)
    return InspectOut(
        accepted=not refusal,
        reason=line(refusal or "as near to its base as its scheme allows"),
        figures=figures,
        evidence=keep_evidence(tools.store, figures, {**report, "refusal": refusal}),
    )
