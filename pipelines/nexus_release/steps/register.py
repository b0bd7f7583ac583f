"""Gives the release its id, and the registry a version that carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_release.capacity.target import FitGate
from nexus_release.code import environment_digest, steps_digest
from nexus_release.data_declaration import Declaration
from nexus_release.digests import Digest, HexId
from nexus_release.documents import validated
from nexus_release.frozen import Artifact, Frozen
from nexus_release.gates import held, result, texts
from nexus_release.names import ModelName
from nexus_release.ports import RegistryEntry
from nexus_release.record import (
    CodeContent,
    Content,
    GateResult,
    Verdict,
    content_json,
    release_id,
)
from nexus_release.steps.evaluate import EvaluateOut, QualityGate
from nexus_release.steps.fit import FitOut
from nexus_release.steps.inspect import ArtifactGate, InspectOut
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainOut, TrainRecipe
from nexus_release.steps.validate import DataGate, ValidateOut, bounds
from nexus_release.wiring import Tools

_COMPARED = ("reference", "on_drift")
"""Settings of the data gate that say with what a dataset is compared, not what it is: the same release asked for again
is compared with itself, and has the same id."""


class RegisterIn(Frozen):
    model: ModelName
    declaration: Declaration | None
    data_gate: DataGate
    validated: ValidateOut
    fit_gate: FitGate
    fitted: FitOut
    train_recipe: TrainRecipe
    trained: TrainOut
    quantize_recipe: QuantizeRecipe
    artifact: Artifact
    bill_of_materials: Digest
    artifact_gate: ArtifactGate
    inspected: InspectOut
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
            dataset_rows=given.validated.rows,
            parameters=content.recipe,
            metrics=_measurements(content.gates),
            content=text,
        )
    )
    tools.notes.update(registry_uri=registered.uri, run=registered.run, logged_model=registered.logged_model)
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
                "declaration": given.declaration,
            },
            "base": given.trained.model.digest,
            "base_source": given.trained.source,
            "recipe": recipe_texts(given.train_recipe, given.quantize_recipe),
            "code": code,
            "artifact": given.artifact,
            "bill_of_materials": given.bill_of_materials,
            "shape": given.fitted.shape,
            "evaluation": {
                "suite": evaluated.suite,
                "engine": evaluated.engine,
                "base_compute_type": evaluated.base_compute_type,
                "compute_type": evaluated.compute_type,
                "rows": evaluated.rows,
                "tokens": evaluated.tokens,
            },
            "gates": (
                result("data", _held_data(data, given.data_gate), given.data_gate, without=_COMPARED),
                result("fit", given.fitted, given.fit_gate),
                result("artifact", given.inspected, given.artifact_gate),
                result("quality", evaluated, given.quality_gate),
            ),
        },
        lambda _: "record",
    )


def _held_data(data: ValidateOut, gate: DataGate) -> Verdict:
    """The dataset's folder is its own evidence: it has `report.json`. How far it had moved from another is in the
    step's output alone."""
    total, asked = data.rows + data.refused_rows, bounds(gate)
    figures = (
        held("refused share", data.refused_rows / total if total else 0, most=asked["refused share"].most),
        held("rows", data.rows, least=asked["rows"].least),
    )
    reason = f"{data.rows} rows are good, {data.refused_rows} break the contract"
    return Verdict(accepted=data.accepted, reason=reason, figures=figures, evidence=data.dataset)


def recipe_texts(train: TrainRecipe, quantize: QuantizeRecipe) -> dict[str, str]:
    """Without the base: where it was found is an address; what it was is `base_source`."""
    return _recipe("train.", train, without="base") | _recipe("quantize.", quantize)


def _recipe(prefix: str, recipe: Frozen, without: str = "") -> dict[str, str]:
    return texts(prefix, recipe.model_dump(exclude={without}))


def _measurements(results: Sequence[GateResult]) -> Mapping[str, float]:
    """As the registry plots them. The record keeps the text."""
    return {
        f"{figure.name}{f'.{figure.subject}' if figure.name == 'accuracy' else ''}.{kind}".replace(" ", "_"): float(
            said
        )
        for result in results
        for figure in result.figures
        for kind in ("base", "candidate", "value", "low", "high")
        if (said := getattr(figure, kind))
    }
