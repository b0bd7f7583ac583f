"""The release record: what made a release, and the id that follows from it.

A record is `{content, observed}` in `gitops/releases/<model>/<id>.json`, append-only. The id is the SHA-256 of
`content`'s canonical JSON; `content` holds strings, integers, booleans and null only, no address, no clock and no run
id, so that the same data, code and recipe give the same id on any engine. `observed` is what happened once.
"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

from pydantic import model_validator

from nexus_release.capacity.shape import ModelShape
from nexus_release.data_declaration import Declaration
from nexus_release.digests import Digest, canonical_json, digest_bytes
from nexus_release.documents import validated_json
from nexus_release.errors import DigestMismatch, Missing
from nexus_release.frozen import Artifact, Frozen
from nexus_release.names import Line, ModelName, model_slug


class DatasetContent(Frozen):
    digest: Digest
    source: Digest
    contract: Digest
    rows: int
    declaration: Declaration | None
    """What its owner declares of it; null where the release's file declared nothing."""


class CodeContent(Frozen):
    steps: Digest
    """Digest of the library's own source files."""
    environment: Digest
    """Digest of the names and versions of everything that the steps import."""


class Figure(Frozen):
    """One measurement and its bounds: counts as they are, else decimal strings of 4 significant digits (`decimal`)."""

    name: Line
    subject: Line = ""
    """The tensor, task or device that it is of; empty where it is of the whole."""
    value: Line
    low: Line
    high: Line
    """Ends of the value's interval; the value itself where nothing was sampled."""
    least: Line = ""
    """The low end must not be below it; empty where there is no such bound."""
    most: Line = ""
    """The high end must not be above it; empty where there is no such bound."""
    base: Line = ""
    candidate: Line = ""
    """The same of either model alone, where the value compares them."""
    passed: bool


class Verdict(Frozen):
    """What a gate leaves, as part of its step's output."""

    accepted: bool
    reason: Line
    figures: tuple[Figure, ...]
    evidence: Digest
    """Folder in the store with everything that the figures were made from, for people: `report.json`."""


GateName = Literal["data", "fit", "artifact", "quality"]
GATES: tuple[GateName, ...] = get_args(GateName)
"""In the order in which they are held."""


class GateResult(Verdict):
    gate: GateName
    settings: dict[Line, Line]
    """The gate's own, as text: what it was asked to hold."""


class EvaluationContent(Frozen):
    suite: Digest
    """Digest of what was asked: held-out rows, questions, golden prompts, and the way they are scored."""
    engine: Line
    base_compute_type: Line
    compute_type: Line
    rows: int
    tokens: int


class Content(Frozen):
    """Everything that a release is made of."""

    version: Literal[2] = 2
    """2 since data is declared: a record of 1 says nothing of it, and is refused as what it is."""
    model: ModelName
    dataset: DatasetContent
    base: Digest
    base_source: Line
    recipe: dict[Line, Line]
    """`train.<field>`, `quantize.<field>` -> value as text."""
    code: CodeContent
    artifact: Artifact
    bill_of_materials: Digest
    """Of the folder that holds the artifact's `bom.cdx.json`."""
    shape: ModelShape
    evaluation: EvaluationContent
    gates: tuple[GateResult, ...]
    """One for each of `GATES`, in that order."""

    @model_validator(mode="after")
    def _held_by_every_gate(self) -> Content:
        if (found := tuple(result.gate for result in self.gates)) != GATES:
            raise ValueError(f"gates are {', '.join(found) or 'none'}; a record has {', '.join(GATES)}")
        return self

    @property
    def accepted(self) -> bool:
        return all(result.accepted for result in self.gates)

    def gate(self, name: GateName) -> GateResult:
        return self.gates[GATES.index(name)]


class Observed(Frozen):
    """What happened once, on one machine; nothing follows from it."""

    registry_uri: Line
    run: Line
    logged_model: Line
    artifact_uri: Line
    commit: Line
    """The commit that the release was proposed on."""
    dirty: bool
    """True where the working tree that ran the steps differed from its commit (laptops only)."""
    machine: Line
    time: Line
    """UTC, RFC 3339."""


class Record(Frozen):
    content: Content
    observed: Observed


def release_id(content: Content) -> str:
    return hashlib.sha256(content_json(content)).hexdigest()


def content_json(content: Content) -> bytes:
    return canonical_json(content.model_dump(mode="json"))


def parse_content(text: str) -> Content:
    """Raises BadInput."""
    return validated_json(Content, text.encode(), "content")


def record_path(model: str, release: str) -> str:
    """Path under the repository's root."""
    return f"gitops/releases/{model_slug(model)}/{release}.json"


def record_text(record: Record) -> str:
    """The file, for people and for diffs: sorted, indented, one final newline."""
    return json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def read_record(root: Path, model: str, release: str, digest: str | None = None) -> Record:
    """Reads a record and proves its id, and its file's digest where one is given.

    Raises Missing, BadInput (unknown or missing fields) or DigestMismatch.
    """
    path = record_path(model, release)
    try:
        return parse_record((root / path).read_bytes(), path, release, digest)
    except FileNotFoundError:
        raise Missing(f"{path}: no such release record") from None


def parse_record(data: bytes, path: str, release: str, digest: str | None = None) -> Record:
    """The same for a record's bytes; `path` is named in errors."""
    if digest is not None and digest_bytes(data) != digest:
        raise DigestMismatch(path, digest, digest_bytes(data))
    record = validated_json(Record, data, path)
    found = release_id(record.content)
    if found != release:
        raise DigestMismatch(f"{path}: content", release, found)
    return record


def decimal(value: float) -> str:
    """A measurement as text: 4 significant digits, never with an exponent. Raises ValueError for NaN and infinity."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no measurement")
    return format(Decimal(f"{value:.3e}"), "f") if value else "0"
