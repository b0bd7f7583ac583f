"""The pages of `train`, `quantize` and `evaluate`: what was made, how large it is, and how good."""

from __future__ import annotations

from nexus_release.evidence.figures import amounts_of, figures_in
from nexus_release.evidence.page import Bar, Bars, Block, Facts, Figures, Heading, Page, Said, Table, Text, amount
from nexus_release.frozen import Artifact, Frozen
from nexus_release.steps.evaluate import EvaluateIn, EvaluateOut
from nexus_release.steps.quantize import QuantizeIn, QuantizeOut
from nexus_release.steps.train import TrainIn, TrainOut


def trained_page(given: TrainIn, out: TrainOut) -> Page:
    losses = [(name, loss) for name, loss in (("first", out.first_loss), ("last", out.last_loss)) if loss]
    shown: tuple[Block, ...] = (Text("The base is taken as it is: nothing was trained."),)
    if losses:
        bars = Bars(tuple(Bar(f"{name} tenth", float(loss), f"{loss} nats a token") for name, loss in losses))
        shown = (Heading("Loss, at the beginning and at the end"), bars)
    return Page(
        title="Training",
        blocks=(
            *shown,
            Heading("What was made"),
            _artifact(out.model, out.source),
            Heading("Recipe"),
            _recipe(given.recipe),
        ),
        amounts={f"loss.{name}": float(loss) for name, loss in losses} | {"bytes": float(out.model.bytes)},
    )


def quantized_page(given: QuantizeIn, out: QuantizeOut) -> Page:
    return Page(
        title=f"Quantization to {given.recipe.scheme}",
        blocks=(*_sizes(given.model, out.artifact), Heading("Recipe"), _recipe(given.recipe)),
        amounts={
            "bytes.base": float(given.model.bytes),
            "bytes.quantized": float(out.artifact.bytes),
            "bytes.ratio": out.artifact.bytes / given.model.bytes,
        },
    )


def evaluated_page(given: EvaluateIn, out: EvaluateOut) -> Page:
    figures = figures_in(out.model_dump(mode="json"))
    before_and_after = tuple((one.name, one.base, one.candidate) for one in figures if one.base and one.candidate)
    measured = (
        Figures(
            figures,
            f"{given.gate.confidence:.0%} intervals: of perplexity and agreement by {given.gate.resamples:,} paired "
            f"resamples of {out.rows:,} held-out rows with {out.tokens:,} tokens; of accuracy by Tango's score test.",
        ),
        Heading("Before and after"),
        Table(("", "base", "quantized"), before_and_after),
    )
    return Page(
        title="Is it as good as its base?",
        blocks=(
            Said(out.accepted, "accepted" if out.accepted else "refused", out.reason),
            *(measured if figures else ()),
            *_sizes(given.base, given.artifact),
            Heading("How it was measured"),
            Facts((("engine", f"{out.engine}, in {out.compute_type}"), ("suite", out.suite))),
        ),
        amounts=amounts_of(figures) | {"rows": float(out.rows), "tokens": float(out.tokens)},
    )


def _sizes(base: Artifact, quantized: Artifact) -> tuple[Block, ...]:
    ratio = quantized.bytes / base.bytes
    return (
        Heading("Size, before and after"),
        Bars(
            (
                Bar("base", float(base.bytes), amount(base.bytes)),
                Bar("quantized", float(quantized.bytes), f"{amount(quantized.bytes)}, {ratio:.0%} of the base"),
            )
        ),
        Facts((("base", base.digest), ("quantized", quantized.digest))),
    )


def _artifact(model: Artifact, source: str) -> Facts:
    return Facts(
        (("made from", source), ("digest", model.digest), ("size", f"{amount(model.bytes)} in {model.files} files"))
    )


def _recipe(recipe: Frozen) -> Facts:
    return Facts(tuple((name, str(value)) for name, value in recipe.model_dump(mode="json").items()))
