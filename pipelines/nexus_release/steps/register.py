"""Gives the release its id, and the registry a version that carries it."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_release.code import environment_digest, steps_digest
from nexus_release.digests import HexId
from nexus_release.documents import validated
from nexus_release.frozen import Artifact, Frozen
from nexus_release.names import ModelName
from nexus_release.ports import RegistryEntry
from nexus_release.record import (
    CodeContent,
    Content,
    content_json,
    release_id,
)
from nexus_release.steps.evaluate import EvaluateOut, QualityGate
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
    quality_gate: QualityGate
    evaluated: EvaluateOut


class RegisterOut(Frozen):
    release: HexId
    content: str
    """The record's content as canonical JSON; its SHA-256 is the release id."""
    version: int


def register(given: RegisterIn, tools: Tools) -> RegisterOut:
    """Idempotent by release id. Raises Unreachable where the registry does not answer, Missing or DigestMismatch
    where the store does not hold the artifact."""
    tools.store.get(given.artifact.digest)  # no version may point at bytes that are not there
    content = content_of(given, CodeContent(steps=steps_digest(), environment=environment_digest()))
    release = release_id(content)
    text = content_json(content).decode()
    registered = tools.registry.register(
        RegistryEntry(
            model=given.model,
            release=release,
            artifact_uri=tools.store.uri(given.artifact.digest),
            artifact_digest=given.artifact.digest,
            dataset_digest=given.validated.dataset,
            parameters=content.recipe,
            metrics=dict(_measurements(given.evaluated)),
            content=text,
        )
    )
    tools.notes.update(registry_uri=registered.uri, run=registered.run)
    return RegisterOut(release=release, content=text, version=registered.version)


def content_of(given: RegisterIn, code: CodeContent) -> Content:
    """What the release is made of, and nothing of when or where it was made. Raises BadInput."""
    data, evaluated = given.validated, given.evaluated
    return validated(
        Content,
        {
            "model": given.model,
            "dataset": {
                "digest": data.dataset,
                "source": data.source,
                "contract": data.contract,
                "rows": data.rows,
            },
            "base": given.trained.model.digest,
            "base_source": given.trained.source,
            # Where the base was found is an address; what it was is `base_source`.
            "recipe": _texts("train.", given.train_recipe, without="base") | _texts("quantize.", given.quantize_recipe),
            "code": code,
            "artifact": given.artifact,
            "evaluation": {
                "suite": evaluated.suite,
                "engine": evaluated.engine,
                "base_compute_type": evaluated.base_compute_type,
                "compute_type": evaluated.compute_type,
                "rows": evaluated.rows,
                "tokens": evaluated.tokens,
                "metrics": [metric.model_dump() for metric in evaluated.metrics],
                "gate": _texts("", given.quality_gate),
                "accepted": evaluated.accepted,
            },
        },
        lambda _: "record",
    )


def _texts(prefix: str, values: Frozen, without: str = "") -> dict[str, str]:
    return {prefix + name: _text(value) for name, value in values.model_dump().items() if name != without}


def _text(value: object) -> str:
    """One text for one value: `repr` of a float is the shortest text that reads back as the same float."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _measurements(evaluated: EvaluateOut) -> Mapping[str, float]:
    """As the registry plots them. The record keeps the text."""
    kinds = ("base", "candidate", "difference", "low", "high")
    return {f"{metric.name}.{kind}": float(getattr(metric, kind)) for metric in evaluated.metrics for kind in kinds} | {
        "evaluated_tokens": float(evaluated.tokens)
    }
