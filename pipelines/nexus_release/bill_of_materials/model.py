"""The bill of materials of a model (ML-BOM): its files, its base, its data, how it was made and what it measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_release.bill_of_materials.document import Part, document, properties, sha256
from nexus_release.bill_of_materials.licences import licences, named
from nexus_release.data_declaration import Declaration, told
from nexus_release.digests import Digest, Listing
from nexus_release.record import Figure

_MODEL, _BASE, _DATASET = "model", "base", "dataset"  # how parts name one another within the document


@dataclass(frozen=True)
class Made:
    """What the bill is drawn up from."""

    model: str
    artifact: Digest
    files: Listing
    """Of the artifact."""
    checkpoint: Path
    """The artifact's folder: its configuration is read."""
    base: Digest
    base_source: str
    base_checkpoint: Path
    dataset: Digest
    rows: int
    declaration: Declaration | None
    recipe: Mapping[str, str]
    figures: Sequence[Figure]
    """Of the quality gate."""


def model_bill(made: Made) -> str:
    """Raises nothing for odd configurations: what they do not say is left out."""
    return document(
        _model(made),
        [_dataset(made), *(_file(path, digest) for path, _, digest in made.files)],
        dependencies=[{"ref": _MODEL, "dependsOn": [_BASE, _DATASET]}, {"ref": _BASE}, {"ref": _DATASET}],
    )


def _model(made: Made) -> Part:
    stated = licences(made.checkpoint) or licences(made.base_checkpoint)
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": made.model,
        "version": made.artifact,
        **({"licenses": stated} if stated else {}),
        "pedigree": {"ancestors": [_base(made)]},
        "modelCard": _card(made),
        "properties": properties(made.recipe),
    }


def _base(made: Made) -> Part:
    stated = licences(made.base_checkpoint)
    return {
        "type": "machine-learning-model",
        "bom-ref": _BASE,
        "name": made.base_source,
        "version": made.base,
        **({"licenses": stated} if stated else {}),
    }


def _card(made: Made) -> Part:
    config = _configuration(made.checkpoint)
    architectures = config.get("architectures")
    architecture = architectures[0] if isinstance(architectures, list) and architectures else None
    named = {"architectureFamily": config.get("model_type"), "modelArchitecture": architecture}
    return {
        "modelParameters": {
            "task": "text-generation",
            **{name: text for name, text in named.items() if isinstance(text, str)},
            "datasets": [{"ref": _DATASET}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [_metric(figure) for figure in made.figures]},
    }


def _metric(figure: Figure) -> Part:
    return {
        "type": f"{figure.name}, against the base",
        "value": figure.value,
        **({"slice": figure.subject} if figure.subject else {}),
        "confidenceInterval": {"lowerBound": figure.low, "upperBound": figure.high},
    }


def _dataset(made: Made) -> Part:
    declared = made.declaration
    return {
        "type": "data",
        "bom-ref": _DATASET,
        "name": "training and held-out rows",
        "version": made.dataset,
        **({"licenses": [named(declared.licence)]} if declared else {}),
        "data": [{"type": "dataset", **(_governed(declared) if declared else {})}],
        "properties": properties({"rows": str(made.rows), **_said(declared)}),
    }


def _said(declared: Declaration | None) -> dict[str, str]:
    return {f"data.{what.replace(' ', '_')}": how for what, how in told(declared)}


def _governed(declared: Declaration) -> Part:
    return {
        "description": declared.source,
        "governance": {"owners": [{"organization": {"name": declared.owner}}]},
        **({"sensitiveData": ["personal data"]} if declared.contains_personal_data else {}),
    }


def _file(path: object, digest: object) -> Part:
    return {"type": "file", "bom-ref": f"file:{path}", "name": str(path), "hashes": [sha256(str(digest))]}


def _configuration(checkpoint: Path) -> Mapping[str, object]:
    try:
        found = json.loads((checkpoint / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
