"""Releases, plans and whole repository trees, made up but valid in every part."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import Literal

from nexus_release.capacity.shape import ModelShape
from nexus_release.data_declaration import Declaration
from nexus_release.digests import digest_bytes, digest_json
from nexus_release.frozen import Artifact
from nexus_release.manifests.tree import load_inputs, render, write
from nexus_release.plan import Plan, Pointer, admitted, plan_path, plan_text, promoted, shifted
from nexus_release.policies import SCHEMA
from nexus_release.record import (
    CodeContent,
    Content,
    DatasetContent,
    EvaluationContent,
    Figure,
    GateName,
    GateResult,
    Observed,
    Record,
    record_path,
    record_text,
    release_id,
)
from nexus_release.trust.signed import sign_release
from nexus_release.wiring import Tools

from .repository import ROOT

State = Literal["first", "canary", "promoted", "contracted"]
STATES: tuple[State, ...] = ("first", "canary", "promoted", "contracted")
SHAPE = ModelShape(
    layers=4,
    hidden=256,
    intermediate=512,
    heads=8,
    kv_heads=4,
    head=32,
    vocabulary=2048,
    context=1024,
    tied=False,
    width=2,
)
ENTRY = "model.safetensors"
DECLARED = Declaration(
    owner="the data team",
    source="answers of the support desk",
    licence="CC-BY-4.0",
    purposes=("support",),
    contains_personal_data=False,
    delete_after=date(9999, 12, 31),
    access=("local", "dev", "staging", "prod"),
)
MODELS = ("pydoc-chat", "acme/Llama-4:8B@chat")
"""One whose name is its slug, and one with everything that an alias may hold."""


def make_record(model: str, seed: int, *, accepted: bool = True, declared: Declaration | None = DECLARED) -> Record:
    """A record whose content, and so its id, follows from the arguments alone."""

    def digest(what: str) -> str:
        return digest_bytes(f"{model} {seed} {what}".encode())

    perplexity = Figure(
        name="perplexity",
        value="0.00986",
        low="0.00712",
        high="0.01243",
        most="0.05" if accepted else "0.01",
        base="21.30",
        candidate="21.51",
        passed=accepted,
    )
    content = Content(
        model=model,
        dataset=DatasetContent(
            digest=digest("rows"),
            source=digest("source"),
            contract=digest("contract"),
            rows=4211,
            declaration=declared,
        ),
        base=digest("base"),
        base_source="scratch://qwen2",
        recipe={"train.steps": "400", "quantize.scheme": "W8A8"},
        code=CodeContent(steps=digest("steps"), environment=digest("environment")),
        artifact=Artifact(digest=_entry(digest("base")), bytes=71, files=1),
        bill_of_materials=_entry(digest("source")),
        shape=SHAPE,
        evaluation=EvaluationContent(
            suite=digest("suite"),
            engine="ctranslate2 4.8.0",
            base_compute_type="float32",
            compute_type="int8_float32",
            rows=200,
            tokens=18_044,
        ),
        gates=(
            make_result("data", digest("rows"), count("rows", "4211")),
            make_result("fit", digest("fit"), count("context", "1024")),
            make_result("artifact", digest("inspected"), count("quantized tensors", "28")),
            make_result("quality", digest("evaluated"), perplexity),
        ),
    )
    observed = Observed(
        registry_uri=f"models:/{model}/{seed}",
        run=f"run-{seed}",
        logged_model=f"m-{seed:032x}",
        artifact_uri="file:///store",
        commit="0" * 40,
        dirty=False,
        machine="a test",
        time="2026-01-01T00:00:00Z",
    )
    return Record(content=content, observed=observed)


def count(name: str, value: str) -> Figure:
    return Figure(name=name, value=value, low=value, high=value, least="1", passed=True)


def make_result(gate: GateName, evidence: str, figure: Figure) -> GateResult:
    return GateResult(
        gate=gate,
        accepted=figure.passed,
        reason="within its bounds" if figure.passed else "not as good as its base",
        figures=(figure,),
        evidence=evidence,
        settings={"max_perplexity_increase": figure.most} if gate == "quality" else {},
    )


def keep_signed(content: Content, tools: Tools) -> str:
    """Puts what a content of `make_record` names into the store and signs it; returns the digest of what is signed."""
    for text, wanted in (
        (content.base, content.artifact.digest),
        (content.dataset.source, content.bill_of_materials),
    ):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, ENTRY).write_text(text)
            assert tools.store.put(Path(folder)).digest == wanted
    return sign_release(content, tools.store, tools.signatures, tools.signer)


def _entry(text: str) -> str:
    """The digest of a folder of one file, as `keep_signed` puts it into a store."""
    return digest_json([[ENTRY, len(text), digest_bytes(text.encode())]])


def make_pointer(record: Record) -> Pointer:
    return Pointer(release=release_id(record.content), record=digest_bytes(record_text(record).encode()))


def make_plan(model: str, state: State) -> Plan:
    """A model's plan after its first release, a canary at 20 %, its promotion, and a third release at weight 0."""
    one, two, three = (make_pointer(make_record(model, seed)) for seed in (1, 2, 3))
    plan = admitted(None, model, one)
    if state == "first":
        return plan
    plan = shifted(admitted(plan, model, two), two.release, 20)
    if state == "canary":
        return plan
    plan = promoted(plan, two.release, 1)
    return plan if state == "promoted" else admitted(plan, model, three)


def plant_environments(root: Path) -> None:
    """The repository's own settings and policies, without its plans, and the schema of policies."""
    shutil.copytree(ROOT / "environments", root / "environments", ignore=shutil.ignore_patterns("models"))
    (root / SCHEMA).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / SCHEMA, root / SCHEMA)


def plant_record(root: Path, record: Record) -> Pointer:
    pointer = make_pointer(record)
    path = root / record_path(record.content.model, pointer.release)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record_text(record), encoding="utf-8")
    return pointer


def plant_plan(root: Path, environment: str, plan: Plan) -> None:
    """The plan, and the environment's tree rendered anew."""
    path = root / plan_path(environment, plan.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(plan_text(plan), encoding="utf-8")
    write(root, environment, render(load_inputs(root, environment)))


def plant_repository(root: Path, environment: str, state: State) -> None:
    """A repository with two models in `state`, their records, and the rendered tree."""
    plant_environments(root)
    for model in MODELS:
        for seed in (1, 2, 3):
            plant_record(root, make_record(model, seed))
    for model in MODELS:
        plant_plan(root, environment, make_plan(model, state))


def release_name(text: str) -> str:
    """Any text as a release id."""
    return hashlib.sha256(text.encode()).hexdigest()
