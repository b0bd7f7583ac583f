"""The pages of the gates `fit`, `inspect` and `evaluate`: the verdict, and each figure beside its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_release.evidence.figures import amounts_of, name_of
from nexus_release.evidence.models import sizes
from nexus_release.evidence.page import Block, Facts, Figures, Heading, Page, Said, Table
from nexus_release.record import Figure, Verdict
from nexus_release.steps.evaluate import EvaluateIn, EvaluateOut
from nexus_release.steps.fit import FitIn, FitOut
from nexus_release.steps.inspect import InspectIn, InspectOut

_SHOWN = 10  # tensors or rows; the evidence in the store has all


def verdict_page(title: str, out: Verdict, *more: Block, caption: str = "") -> Page:
    """Of any gate."""
    return Page(
        title=title,
        blocks=(
            Said(out.accepted, "accepted" if out.accepted else "refused", out.reason),
            *((Figures(out.figures, caption),) if out.figures else ()),
            *more,
            Heading("Evidence"),
            Facts((("folder in the store", out.evidence),)),
        ),
        amounts=amounts_of(out.figures),
    )


def fitted_page(given: FitIn, out: FitOut) -> Page:
    shape = ((name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in out.shape)
    return verdict_page(
        f"Does it fit in {given.quantize.scheme}?", out, Heading("The model's shape"), Facts(tuple(shape))
    )


def inspected_page(given: InspectIn, out: InspectOut, report: Mapping[str, Any]) -> Page:
    """`report` is the evidence's `report.json`."""
    tensors: Sequence[Mapping[str, Any]] = report.get("tensors", [])[:_SHOWN]
    rows = tuple((str(one["name"]), str(one["relative_error"]), str(one["worst_row"])) for one in tensors)
    worst = (Heading("The tensors that differ most"), Table(("tensor", "relative error", "of its worst row"), rows))
    return verdict_page(
        f"Is it still its base, in {given.recipe.scheme}?",
        out,
        *sizes(given.base, given.artifact),
        *(worst if rows else ()),
    )


def evaluated_page(given: EvaluateIn, out: EvaluateOut, report: Mapping[str, Any]) -> Page:
    """`report` is the evidence's `report.json`."""
    caption = (
        f"{given.gate.confidence:.0%} intervals; of rows by {given.gate.resamples:,} paired resamples of {out.rows:,} "
        f"held-out rows with {out.tokens:,} tokens."
    )
    return verdict_page(
        "Is it as good as its base?",
        out,
        *_before_and_after(out.figures),
        *sizes(given.base, given.artifact),
        *_golden(report.get("golden", [])),
        Heading("How it was measured"),
        Facts((("engine", f"{out.engine}, in {out.compute_type}"), ("suite", out.suite))),
        caption=caption,
    )


def _before_and_after(figures: Sequence[Figure]) -> tuple[Block, ...]:
    rows = tuple((name_of(one), one.base, one.candidate) for one in figures if one.base and one.candidate)
    return (Heading("Quality, before and after"), Table(("", "base", "quantized"), rows)) if rows else ()


def _golden(answers: Sequence[Mapping[str, Any]]) -> tuple[Block, ...]:
    rows = tuple((str(one["prompt"]), str(one["candidate"]), "yes" if one["holds"] else "no") for one in answers)
    return (Heading("Golden prompts"), Table(("prompt", "answer", "holds"), rows)) if rows else ()
