"""Holds what a record has measured against the bounds of another environment than the one that it was made for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import InvalidOperation
from typing import Literal

from nexus_release.config import Gates
from nexus_release.gates import Bounds, held_anew, told
from nexus_release.record import Content, Figure, GateName, GateResult
from nexus_release.schemes import Scheme
from nexus_release.steps import evaluate, inspect, validate
from nexus_release.steps.quantize import QuantizeRecipe

_CONDITIONS: tuple[tuple[GateName, str, Literal["least", "most"]], ...] = (
    ("data", "max_characters", "most"),
    ("data", "max_same_answer_share", "most"),
    ("quality", "confidence", "least"),
)
"""Settings that have no figure, and under which the figures were made: the gate's own is the least or the most that
counts here."""


def rejudged(content: Content, gates: Gates) -> tuple[str, ...]:
    """Why the record does not hold the gates' bounds; empty where it does.

    No figure is measured anew. What a gate bounds and the record has not measured is a fault too. The gate `fit` is
    planned anew whenever the environment is rendered.
    """
    return tuple(
        fault
        for result, asked in _asked(content, gates)
        for fault in (*_figures(result, asked), *_conditions(result, gates))
    )


def held_figures(result: GateResult, asked: Mapping[str, Bounds]) -> tuple[Figure, ...]:
    """The figures of a gate, those with a bound in `asked` held against it."""
    return tuple(held_anew(figure, asked[figure.name]) if figure.name in asked else figure for figure in result.figures)


def quality_figures(content: Content, gates: Gates) -> tuple[Figure, ...]:
    return held_figures(content.gate("quality"), evaluate.bounds(gates.quality))


def _asked(content: Content, gates: Gates) -> Iterator[tuple[GateResult, Mapping[str, Bounds]]]:
    yield content.gate("data"), validate.bounds(gates.data)
    yield content.gate("artifact"), inspect.bounds(gates.artifact, _scheme(content), content.shape) or {}
    yield content.gate("quality"), evaluate.bounds(gates.quality)


def _scheme(content: Content) -> Scheme:
    return QuantizeRecipe.model_validate({"scheme": content.recipe.get("quantize.scheme")}).scheme


def _figures(result: GateResult, asked: Mapping[str, Bounds]) -> Iterator[str]:
    if not asked:
        yield f"{result.gate}: this environment has no bounds for it"
    measured = {figure.name for figure in result.figures}
    yield from (f"{result.gate}: {name} was not measured" for name in asked if name not in measured)
    try:
        yield from (f"{result.gate}: {told(figure)}" for figure in held_figures(result, asked) if not figure.passed)
    except InvalidOperation:
        yield f"{result.gate}: a figure is no number"


def _conditions(result: GateResult, gates: Gates) -> Iterator[str]:
    for gate, name, side in _CONDITIONS:
        wanted = getattr(getattr(gates, gate), name)
        if gate == result.gate and not _counts(result.settings.get(name, ""), wanted, side):
            yield f"{gate}: {name} was {result.settings.get(name)}, at {side} {wanted} is asked for"
    if result.gate == "data" and gates.data.pii == "refuse" and result.settings.get("pii") != "refuse":
        yield f"data: pii was {result.settings.get('pii')}, refuse is asked for"


def _counts(was: str, wanted: float, side: Literal["least", "most"]) -> bool:
    try:
        return float(was) >= wanted if side == "least" else float(was) <= wanted
    except ValueError:
        return False
