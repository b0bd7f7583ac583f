"""What a release id follows from, and what the registry is told."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from pydantic import ValidationError

from nexus_release import code
from nexus_release.capacity.target import FitGate
from nexus_release.errors import DigestMismatch, Missing
from nexus_release.frozen import Artifact
from nexus_release.ports import RegisteredVersion, RegistryEntry
from nexus_release.record import GATES, CodeContent, Content, Figure, parse_content
from nexus_release.steps.evaluate import EvaluateOut, QualityGate
from nexus_release.steps.fit import FitOut
from nexus_release.steps.inspect import ArtifactGate, InspectOut
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.register import RegisterIn, content_of, register
from nexus_release.steps.train import TrainOut, TrainRecipe
from nexus_release.steps.validate import DataGate, ValidateOut
from nexus_release.wiring import Connections, Tools

from ..support.releases import DECLARED, SHAPE


def digest(of: str) -> str:
    return "sha256:" + hashlib.sha256(of.encode()).hexdigest()


PERPLEXITY = Figure(
    name="perplexity",
    value="0.00986",
    low="0.00712",
    high="0.01243",
    most="0.05",
    base="21.30",
    candidate="21.51",
    passed=True,
)
PASSED = {"accepted": True, "reason": "within every bound", "figures": (PERPLEXITY,)}
GIVEN = RegisterIn(
    model="pydoc-chat",
    declaration=DECLARED,
    data_gate=DataGate(),
    validated=ValidateOut(
        source=digest("source"),
        dataset=digest("dataset"),
        contract=digest("contract"),
        rows=4200,
        train_rows=4000,
        holdout_rows=200,
        refused_rows=17,
        reference=None,
        drift=(),
        accepted=True,
        reason="",
    ),
    fit_gate=FitGate(),
    fitted=FitOut(**PASSED, evidence=digest("fit"), shape=SHAPE),
    train_recipe=TrainRecipe(learning_rate=3e-3),
    trained=TrainOut(
        model=Artifact(digest=digest("base"), bytes=9, files=2),
        source="scratch://qwen2",
        first_loss="7.600",
        last_loss="2.100",
    ),
    quantize_recipe=QuantizeRecipe(),
    artifact=Artifact(digest=digest("artifact"), bytes=5, files=2),
    artifact_gate=ArtifactGate(),
    inspected=InspectOut(**PASSED, evidence=digest("inspected")),
    bill_of_materials=digest("bill"),
    quality_gate=QualityGate(),
    evaluated=EvaluateOut(
        suite=digest("suite"),
        engine="ctranslate2 4.8.5",
        base_compute_type="float32",
        compute_type="int8_float32",
        rows=200,
        tokens=18044,
        **PASSED,
        evidence=digest("evaluated"),
    ),
)
CODE = CodeContent(steps=digest("steps"), environment=digest("environment"))


class KnownStore:
    """Holds one artifact, or raises instead."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble

    def get(self, digest: str) -> Path:
        if self.trouble:
            raise self.trouble
        return Path(digest)

    def uri(self, digest: str) -> str:
        return f"pvc://nexus-models/{digest.replace(':', '/')}"


class ListeningRegistry:
    def __init__(self) -> None:
        self.heard: list[RegistryEntry] = []

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        self.heard.append(entry)
        return RegisteredVersion(version=3, run="run-1", uri=f"models:/{entry.model}/3", logged_model="m-3")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    made = Tools(Connections(work=tmp_path.as_uri(), registry="http://nowhere.invalid", remote=str(tmp_path)))
    made.__dict__.update(store=KnownStore(), registry=ListeningRegistry())  # in place of what would be made when asked
    return made


def heard(tools: Tools) -> list[RegistryEntry]:
    registry = tools.registry
    assert isinstance(registry, ListeningRegistry)
    return registry.heard


def test_the_id_is_the_hash_of_the_content_that_is_handed_on(tools: Tools) -> None:
    out = register(GIVEN, tools)
    assert out.release == hashlib.sha256(out.content.encode()).hexdigest()
    assert parse_content(out.content) == content_of(
        GIVEN, CodeContent(steps=code.steps_digest(), environment=code.environment_digest())
    )
    assert out.version == 3


def test_the_same_inputs_give_the_same_id(tools: Tools) -> None:
    assert register(GIVEN, tools) == register(GIVEN.model_copy(deep=True), tools)


@pytest.mark.parametrize(
    "changed",
    [
        GIVEN.model_copy(update={"model": "other"}),
        GIVEN.model_copy(update={"artifact": GIVEN.artifact.model_copy(update={"digest": digest("tampered")})}),
        GIVEN.model_copy(update={"train_recipe": TrainRecipe(learning_rate=3.0000000000000005e-3)}),
        GIVEN.model_copy(update={"quantize_recipe": QuantizeRecipe(scheme="W4A16")}),
        GIVEN.model_copy(update={"quality_gate": QualityGate(max_perplexity_increase=0.06)}),
        GIVEN.model_copy(update={"artifact_gate": ArtifactGate(max_scale=3.0)}),
        GIVEN.model_copy(update={"inspected": GIVEN.inspected.model_copy(update={"evidence": digest("other")})}),
        GIVEN.model_copy(update={"fitted": GIVEN.fitted.model_copy(update={"reason": "another placement"})}),
        GIVEN.model_copy(update={"validated": GIVEN.validated.model_copy(update={"dataset": digest("other rows")})}),
    ],
    ids=["model", "artifact", "train recipe", "quantize recipe", "gate", "artifact gate", "evidence", "fit", "dataset"],
)
def test_whatever_makes_a_release_changes_its_id(tools: Tools, changed: RegisterIn) -> None:
    assert register(changed, tools).release != register(GIVEN, tools).release


def test_each_gate_has_its_result_with_settings_figures_and_evidence() -> None:
    content = content_of(GIVEN, CODE)
    assert tuple(result.gate for result in content.gates) == GATES
    assert content.accepted
    data, fit, artifact, quality = content.gates
    assert [(figure.name, figure.value, figure.least or figure.most) for figure in data.figures] == [
        ("refused share", "0.004031", "0.2000"),
        ("rows", "4200", "1000"),
    ]
    assert (data.evidence, fit.evidence) == (GIVEN.validated.dataset, digest("fit"))
    assert artifact.settings["schemes.W8A8.max_row_error"] == "0.15"
    assert (quality.figures, quality.settings["max_accuracy_drop"]) == ((PERPLEXITY,), "0.1")


def test_with_what_the_data_was_compared_does_not_count(tools: Tools) -> None:
    """The same release asked for again is held against the dataset of the first, which is its own."""
    again = GIVEN.model_copy(
        update={
            "data_gate": DataGate(reference=GIVEN.validated.dataset, on_drift="report"),
            "validated": GIVEN.validated.model_copy(
                update={"reference": GIVEN.validated.dataset, "reason": "characters: drifted"}
            ),
        }
    )
    assert register(again, tools).release == register(GIVEN, tools).release
    stricter = GIVEN.model_copy(update={"data_gate": DataGate(min_rows=4000)})
    assert register(stricter, tools).release != register(GIVEN, tools).release


def test_a_record_without_one_of_the_gates_is_no_record() -> None:
    content = content_of(GIVEN, CODE)
    with pytest.raises(ValidationError, match="gates are data, fit, artifact; a record has data, fit, artifact, qual"):
        Content.model_validate({**dict(content), "gates": content.gates[:-1]})


def test_code_and_environment_change_the_content() -> None:
    assert content_of(GIVEN, CODE) != content_of(GIVEN, CODE.model_copy(update={"steps": digest("other steps")}))


def test_content_holds_no_float_no_address_and_no_time() -> None:
    def leaves(value: object) -> Iterator[object]:
        if isinstance(value, dict):
            for item in value.values():
                yield from leaves(item)
        elif isinstance(value, list | tuple):
            for item in value:
                yield from leaves(item)
        else:
            yield value

    found = list(leaves(content_of(GIVEN, CODE).model_dump(mode="json")))
    assert {type(leaf) for leaf in found} <= {str, int, bool}
    assert [leaf for leaf in found if isinstance(leaf, str) and "://" in leaf] == [GIVEN.trained.source]


def test_the_recipe_is_text_that_reads_back_as_the_same_value() -> None:
    recipe = content_of(GIVEN, CODE).recipe
    assert recipe["train.steps"] == str(TrainRecipe().steps)
    assert float(recipe["train.learning_rate"]) == 3e-3
    assert recipe["quantize.scheme"] == "W8A8"
    assert len(recipe) == len(TrainRecipe.model_fields) - 1 + len(QuantizeRecipe.model_fields)


def test_where_the_base_lay_does_not_count_but_what_it_was_does(tools: Tools) -> None:
    moved = GIVEN.model_copy(update={"train_recipe": TrainRecipe(base="file:///elsewhere", learning_rate=3e-3)})
    assert register(moved, tools).release == register(GIVEN, tools).release
    other = GIVEN.model_copy(update={"trained": GIVEN.trained.model_copy(update={"source": digest("other base")})})
    assert register(other, tools).release != register(GIVEN, tools).release


def test_the_registry_hears_digests_parameters_and_measurements(tools: Tools) -> None:
    out = register(GIVEN, tools)
    (entry,) = heard(tools)
    assert entry.release == out.release
    assert entry.artifact_uri == f"pvc://nexus-models/{GIVEN.artifact.digest.replace(':', '/')}"
    assert entry.dataset_digest == GIVEN.validated.dataset
    assert entry.parameters == parse_content(out.content).recipe
    assert entry.metrics["perplexity.candidate"] == 21.51
    assert json.loads(entry.content)["model"] == "pydoc-chat"
    assert tools.notes == {"registry_uri": "models:/pydoc-chat/3", "run": "run-1", "logged_model": "m-3"}


@pytest.mark.parametrize("trouble", [Missing("not there"), DigestMismatch("artifact", "a", "b")])
def test_an_artifact_that_is_not_there_whole_is_not_registered(tools: Tools, trouble: Exception) -> None:
    tools.__dict__["store"] = KnownStore(trouble)
    with pytest.raises(type(trouble)):
        register(GIVEN, tools)
    assert heard(tools) == []


def test_the_steps_digest_follows_from_what_makes_a_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "nexus_release"
    shutil.copytree(Path(code.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "__file__", str(copy / "code.py"))
    before = code.steps_digest.__wrapped__()
    for shown in ("cli.py", "local/cluster.py", "commands/up.py"):
        (copy / shown).write_text("changed = True\n")
    assert code.steps_digest.__wrapped__() == before
    (copy / "steps" / "train.py").write_text("changed = True\n")
    changed = code.steps_digest.__wrapped__()
    assert changed != before
    (copy / "steps" / "new.py").write_text("")
    assert code.steps_digest.__wrapped__() != changed


def test_the_environment_is_what_the_steps_need_and_no_more() -> None:
    found = dict(pair.split("==") for pair in code.environment())
    assert found["mlflow"] == metadata.version("mlflow")
    assert found["torch"] == metadata.version("torch")
    assert found["ctranslate2"] == metadata.version("ctranslate2")
    assert "sqlalchemy" in found, "what mlflow needs belongs to it"
    assert not {"pytest", "ruff", "nexus-platform"} & found.keys()


def test_markers_and_extras_decide_what_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {
        "nexus-platform": ["a[fast]>=1; extra == 'release'", "never; extra == 'gateway'"],
        "a": ["b; extra == 'fast'", "c; extra == 'slow'", "d; sys_platform == 'nowhere'"],
        "b": ["a"],
    }

    class Installed:
        version = "1"

        def __init__(self, name: str) -> None:
            if name not in asked:
                raise metadata.PackageNotFoundError(name)
            self.name, self.requires = name, [str(Requirement(text)) for text in asked[name]]

    monkeypatch.setattr(code, "distribution", Installed)
    assert {pair for pair in code.environment() if not pair.startswith("python==")} == {"a==1", "b==1"}
