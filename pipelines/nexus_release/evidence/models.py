"""The pages of `train` and `quantize`: what was made, and how large it is."""

from __future__ import annotations

from nexus_release.evidence.page import Bar, Bars, Block, Facts, Heading, Page, Text, amount
from nexus_release.frozen import Artifact, Frozen
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
        blocks=(*sizes(given.model, out.artifact), Heading("Recipe"), _recipe(given.recipe)),
        amounts={
            "bytes.base": float(given.model.bytes),
            "bytes.quantized": float(out.artifact.bytes),
            "bytes.ratio": out.artifact.bytes / given.model.bytes,
        },
    )


def sizes(base: Artifact, quantized: Artifact) -> tuple[Block, ...]:
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
