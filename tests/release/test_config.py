"""Settings of environments: what is read, what is refused and how, and the schema that editors use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nexus_release.config import environment_names, load_settings
from nexus_release.documents import parse_yaml, yaml_text
from nexus_release.errors import BadInput

from ..support.releases import MODELS, STATES, make_plan, plant_environments
from ..support.repository import ROOT

OF_THE_GATEWAY = {"policies", "policy-tests"}
"""Files of an environment that the gateway defines."""
ENVIRONMENTS = ("dev", "local", "prod", "staging")
DEV = "environments/dev/settings.yaml"
BASE = "environments/base.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant_environments(tmp_path)
    return tmp_path


def edit(root: Path, path: str, **changes: Any) -> None:
    file = root / path
    document = yaml.safe_load(file.read_text()) | changes
    file.write_text(yaml_text({key: value for key, value in document.items() if value is not ...}))


def test_environments_are_the_folders_with_settings(root: Path) -> None:
    before = environment_names(root)
    assert {*ENVIRONMENTS} <= {*before} == {path.parent.name for path in ROOT.glob("environments/*/settings.yaml")}
    for name in ("added", "begun"):
        (root / "environments" / name).mkdir()
    (root / "environments" / "added" / "settings.yaml").write_text("namespace: nexus-added\n")
    assert environment_names(root) == tuple(sorted({*before, "added"}))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_the_laptop_lands_by_itself_and_runs_without_an_image(environment: str) -> None:
    settings = load_settings(ROOT, environment)
    assert settings.landing == ("merge" if environment == "local" else "review")
    assert (settings.image is None) == (environment == "local")


def test_an_environment_overrides_the_base_key_by_key_and_lists_whole(root: Path) -> None:
    edit(root, DEV, gpu={"count": 4, "tolerations": []}, timeouts={"total_seconds": 30})
    base, dev = load_settings(root, "staging"), load_settings(root, "dev")
    assert (dev.gpu.count, dev.gpu.tolerations, dev.gpu.enabled) == (4, (), base.gpu.enabled)
    assert dev.timeouts.total_seconds == 30
    assert dev.timeouts.chunk_seconds == base.timeouts.chunk_seconds


@pytest.mark.parametrize(
    ("path", "changes", "words"),
    [
        (DEV, {"replica": 3}, [f"{DEV}: replica", "3", "unknown key", "replicas"]),
        (DEV, {"gpu": {"cuont": 2}}, [f"{DEV}: gpu.cuont", "2", "unknown key", "count"]),
        (DEV, {"gates": {"data": {"min_row": 1}}}, [f"{DEV}: gates.data.min_row", "1", "min_rows"]),
        (BASE, {"retian": 1}, [f"{BASE}: retian", "1", "retain"]),
        (BASE, {"retain": ...}, [f"{BASE}: retain", "is missing"]),
        (DEV, {"retain": "two"}, [f"{DEV}: retain", "'two'", "integer"]),
        (DEV, {"retain": -1}, [f"{DEV}: retain", "-1", "greater than or equal to 0"]),
        (DEV, {"landing": "force"}, [f"{DEV}: landing", "'force'", "'merge' or 'review'"]),
        (DEV, {"namespace": "Nexus_Dev"}, [f"{DEV}: namespace", "'Nexus_Dev'"]),
        (
            DEV,
            {"engine_images": {"nexus-vllm": "vllm/vllm-openai:latest"}},
            [f"{DEV}: engine_images.nexus-vllm", "latest", "sha256"],
        ),
        (DEV, {"engine_images": {"nexus-vllm": None}}, ["engine_images.nexus-vllm is null", "repository:tag@sha256"]),
        (DEV, {"engine_images": {"vllm": None}}, [f"{DEV}: engine_images.vllm"]),
        (DEV, {"runtime": "nexus-bentoml"}, ["nexus-bentoml computes on the CPU alone", "gpu.enabled: false"]),
        (DEV, {"runtime": "nexus-sglang", "gpu": {"enabled": False}}, ["nexus-sglang is for GPUs"]),
        (DEV, {"cache": {"storage_class": "fast"}}, [f"{DEV}: cache", "storage_class fast", "kind: claim"]),
        (DEV, {"autoscaling": {"prometheus": "prometheus:9090"}}, [f"{DEV}: autoscaling.prometheus"]),
        (DEV, {"artifacts": "/models"}, [f"{DEV}: artifacts", "'/models'"]),
        (DEV, {"resources": {"cpu": "2000m"}}, [f"{DEV}: resources.cpu", "write 2:"]),
        (DEV, {"resources": {"memory": "2048Mi"}}, [f"{DEV}: resources.memory", "write 2Gi:"]),
        (DEV, {"resources": {"memory": "16 GB"}}, [f"{DEV}: resources.memory", "'16 GB'"]),
        (DEV, {"replicas": {"maximum": 1, "minimum": 2}}, [f"{DEV}: replicas", "maximum 1 is below minimum 2"]),
    ],
)
def test_bad_settings_are_refused_by_file_field_value_and_mend(
    root: Path, path: str, changes: dict[str, Any], words: list[str]
) -> None:
    edit(root, path, **changes)
    with pytest.raises(BadInput) as refused:
        load_settings(root, "dev")
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"retain: 1\nretain: 2\n", [f"{DEV}:2:1", "the key retain again"]),
        (b"gpu:\n  count: 1\n  count: 2\n", [f"{DEV}:3:3", "the key count again"]),
        (b"a: &x [1]\nb: *x\n", [f"{DEV}:2:4", "an alias"]),
        (b"a: !!python/object/apply:os.getcwd []\n", [f"{DEV}:1:4", "python/object"]),
        (b"1: one\n", [f"{DEV}:1:1", "no string"]),
        (b"a: 1\n---\nb: 2\n", [f"{DEV}:2:1", "another document"]),
        (b"a: [\n", [f"{DEV}:2:1"]),
        (b"- a list\n", [DEV, "key: value"]),
        (b"a: \xff\xfe\n", [DEV, "UTF-8"]),
        (b"a: " + b"[" * 200 + b"]" * 200 + b"\n", [DEV, "nested too deep"]),
        (b"a: '" + b"x" * (1 << 20) + b"'\n", [DEV, "bytes"]),
    ],
    ids=["twice", "twice-deep", "alias", "tag", "key", "documents", "cut", "list", "bytes", "depth", "length"],
)
def test_yaml_that_hides_or_multiplies_values_is_refused(root: Path, text: bytes, words: list[str]) -> None:
    (root / DEV).write_bytes(text)
    with pytest.raises(BadInput) as refused:
        load_settings(root, "dev")
    assert [word for word in words if word not in str(refused.value)] == []


def test_an_empty_settings_file_is_the_base(root: Path) -> None:
    (root / DEV).write_text("# nothing of its own\n")
    assert load_settings(root, "dev").namespace == "nexus"


def test_an_unknown_environment_is_refused_with_those_that_there_are(root: Path) -> None:
    known = ", ".join(environment_names(root))
    with pytest.raises(BadInput, match=f"'porduction' is refused: one of {known}"):
        load_settings(root, "porduction")


@pytest.mark.parametrize("name", ["releases", "Dev"])
def test_a_folder_that_cannot_be_an_environment_is_refused(root: Path, name: str) -> None:
    (root / "environments" / name).mkdir()
    (root / "environments" / name / "settings.yaml").touch()
    with pytest.raises(BadInput, match=name):
        environment_names(root)


@pytest.mark.parametrize("text", ["1e3", "12e45", "0o17", "0x1f", "1_000", "12:30", "y", "no", "null", "~", ".inf", ""])
def test_strings_that_look_like_something_else_are_written_with_quotes(text: str) -> None:
    assert yaml_text({"a": text}) == f"a: '{text}'\n"
    assert parse_yaml(yaml_text({"a": text}).encode(), "here") == {"a": text}


def test_the_committed_schema_is_what_the_command_prints() -> None:
    nexus = Path(sys.executable).parent / "nexus"
    printed = subprocess.run([nexus, "schema"], check=True, capture_output=True, text=True).stdout
    assert (ROOT / "environments" / "schema.json").read_text() == printed


def test_every_environment_file_and_every_plan_passes_the_schema(schema: jsonschema.Draft202012Validator) -> None:
    written = sorted((ROOT / "environments").glob("*/**/*.yaml"))
    files = [ROOT / BASE, *(path for path in written if path.stem not in OF_THE_GATEWAY)]
    assert len(files) >= 1 + len(ENVIRONMENTS)
    for path in files:
        schema.validate(yaml.safe_load(path.read_text()))
    for model in MODELS:
        for state in STATES:
            schema.validate(make_plan(model, state).model_dump(mode="json", exclude_none=True))


@pytest.mark.parametrize(
    "document",
    [{"replica": {}}, {"gpu": {"cuont": 1}}, {"retain": -1}, {"stable": {}}, {"stable": None, "model": "m"}],
)
def test_the_schema_refuses_what_the_program_refuses(
    schema: jsonschema.Draft202012Validator, document: dict[str, Any]
) -> None:
    assert list(schema.iter_errors(document))


def test_every_setting_is_described(schema: jsonschema.Draft202012Validator) -> None:
    assert isinstance(schema.schema, dict)
    sections = ["Settings", "Replicas", "EngineResources", "Gpu", "Toleration", "Timeouts", "Gates"]
    bare = [
        f"{section}.{name}"
        for section in sections
        for name, field in schema.schema["$defs"][section]["properties"].items()
        if not field.get("description")
    ]
    assert bare == []


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    document = json.loads((ROOT / "environments" / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)
