"""The policies of an environment: held against the gateway's own schema, rendered as they are, and no model's route."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nexus_release.config import environment_names
from nexus_release.errors import BadInput, Missing
from nexus_release.local.desired import read_desired
from nexus_release.manifests.changes import refusals
from nexus_release.manifests.gateway import POLICIES_FILE
from nexus_release.manifests.tree import load_inputs, render, write
from nexus_release.plan import admitted, shifted
from nexus_release.policies import SCHEMA, policies_path, read_policies

from ..support.releases import make_plan, make_pointer, make_record, plant_plan, plant_record, plant_repository
from ..support.repository import ROOT

BIN = Path(sys.executable).parent
ENVIRONMENTS = environment_names(ROOT)
RENDERED = f"gitops/dev/gateway/routes.d/{POLICIES_FILE}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant_repository(tmp_path, "dev", "canary")
    return tmp_path


def given(root: Path, text: str) -> Path:
    path = root / policies_path("dev")
    path.write_text(text)
    return path


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_committed_policies_are_what_the_gateway_serves(environment: str) -> None:
    source = yaml.safe_load((ROOT / policies_path(environment)).read_text())
    folder = ROOT / "gitops" / environment / "gateway"
    assert yaml.safe_load((folder / "routes.d" / POLICIES_FILE).read_text()) == source
    (generator,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
    assert f"routes.d/{POLICIES_FILE}" in generator["files"]
    done = subprocess.run([BIN / "nexus-gateway", "check", folder / "routes.d"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_laptop_serves_them_beside_the_routes(tmp_path: Path) -> None:
    plant_repository(tmp_path, "local", "canary")
    desired = read_desired(tmp_path, "0" * 40)
    assert POLICIES_FILE in desired.routes
    assert len(desired.hosts) == len(desired.engines) == 4


def test_an_environment_may_have_none(root: Path) -> None:
    (root / policies_path("dev")).unlink()
    assert RENDERED not in render(load_inputs(root, "dev"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write policies and subjects, or remove the file"),
        ("[]", "write policies and subjects, or remove the file"),
        ("routes: {}", "policies.yaml: routes.*known here: policies, subjects"),
        ("policies: {team: {requests_per_minut: 3}}", r"policies\.team: .*'requests_per_minut' was unexpected"),
        ("policies: {team: {priority: 101}}", r"policies\.team\.priority: 101 is refused: 101 is greater than"),
        ("policies: {team: {models: chat}}", r"policies\.team\.models"),
        ("policies: {'a team': {}}", "'a team' does not match"),
        ("subjects: {'': {}}", "does not match"),
        ("policies: {team: {masking: {kinds: [face]}}}", r"policies\.team\.masking"),
        ("policies: {team: {}, team: {}}", "the key team again"),
    ],
)
def test_what_the_gateway_would_not_take_is_refused_by_field(root: Path, text: str, said: str) -> None:
    given(root, text)
    with pytest.raises(BadInput, match=said):
        read_policies(root, "dev")


def test_a_tree_without_the_schema_is_not_rendered(root: Path) -> None:
    (root / SCHEMA).unlink()
    with pytest.raises(Missing, match="make generate"):
        load_inputs(root, "dev")


def test_a_changed_policy_is_stale_until_it_is_rendered(root: Path) -> None:
    given(root, "policies: {team: {priority: 3}}\n")
    command = [BIN / "nexus", "render", "dev", "--check", "--json", "--root", root]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert (checked.returncode, json.loads(checked.stdout)) == (1, {"dev": {RENDERED: "changed"}})


def test_a_model_s_proposal_lands_beside_policies_and_may_not_change_them(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    plant_repository(before, "dev", "canary")
    shutil.copytree(before, after)
    plan = make_plan("pydoc-chat", "canary")
    plant_plan(after, "dev", shifted(plan, make_pointer(make_record("pydoc-chat", 2)).release, 30))
    assert refusals(before, after, "dev") == ()
    given(after, "policies: {guest: {}}\n")
    write(after, "dev", render(load_inputs(after, "dev")))
    assert any(line.startswith(policies_path("dev")) for line in refusals(before, after, "dev"))


def test_no_model_can_be_called_as_the_policies_are(tmp_path: Path, root: Path) -> None:
    model = "policies"
    record = make_record(model, 1)
    plant_record(root, record)
    plant_plan(root, "dev", admitted(None, model, make_pointer(record)))
    files = render(load_inputs(root, "dev"))
    assert {RENDERED, "gitops/dev/gateway/routes.d/policies.yaml"} <= files.keys()
