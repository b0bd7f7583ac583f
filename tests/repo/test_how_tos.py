"""How-tos followed as a reader would: what they say to write is taken from them, and does what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.capacity.gpus import GPUS
from nexus_release.capacity.kernels import kernels
from nexus_release.config import load_settings
from nexus_release.manifests.tree import service_path
from nexus_release.plan import admitted, plan_path, plan_text
from nexus_release.spec import read_spec

from ..support.kustomize import kustomize
from ..support.object_schemas import object_faults
from ..support.releases import make_record, plant_environments, plant_record
from ..support.repository import ROOT

HOW_TO = ROOT / "docs" / "how-to"


def files_of(page: str) -> dict[str, str]:
    """Path -> text of each YAML block of a page that begins with the path that it is for."""
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", (HOW_TO / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    return dict(blocks)


def nexus(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([Path(sys.executable).with_name("nexus"), *words], capture_output=True, text=True)


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def test_an_environment_is_added_by_one_file_and_rendered_whole(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    (path,) = (files := files_of("add-an-environment.md"))
    environment = Path(path).parent.name
    write(tmp_path, files)
    done = nexus("render", environment, "--root", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "gateway.image is null" in done.stdout  # which the page tells
    assert nexus("render", "--root", tmp_path).returncode == 0
    assert nexus("render", "--check", "--root", tmp_path).returncode == 0
    built = [body for folder in (tmp_path / "gitops" / environment).iterdir() for body in kustomized(folder)]
    assert [fault for body in built for fault in object_faults(body)] == []
    namespace = yaml.safe_load(files[path])["namespace"]
    assert {body["metadata"].get("namespace", body["metadata"]["name"]) for body in built} == {namespace}
    others = {load_settings(tmp_path, name).namespace for name in ("dev", "staging", "prod")}
    assert namespace not in others


def kustomized(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([*kustomize(), str(folder)], check=True, capture_output=True, text=True)
    return [body for body in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if body]


def test_every_place_in_which_an_environment_is_listed_is_named() -> None:
    page = (HOW_TO / "add-an-environment.md").read_text(encoding="utf-8")
    namespaces = {load_settings(ROOT, name).namespace for name in ("dev", "staging", "prod")}
    files = (path for path in (ROOT / "gitops" / "argocd").rglob("*.yaml"))
    lists = [path for path in files if all(re.search(rf"\b{space}\b", path.read_text()) for space in namespaces)]
    assert lists
    assert [path.name for path in lists if f"`{path.relative_to(ROOT)}`" not in page] == []


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        ({"namespace": "Nexus QA"}, "namespace"),
        ({"gpu": {"model": "H900"}}, "gpu.model"),
        ({"autoscaling": {"scaler": "both"}}, "autoscaling.scaler"),
        ({"promotoin": {"from": "dev"}}, "promotoin"),
    ],
)
def test_a_slip_in_a_new_environment_is_said_by_its_field(tmp_path: Path, break_it: dict[str, Any], said: str) -> None:
    plant_environments(tmp_path)
    ((path, text),) = files_of("add-an-environment.md").items()
    write(tmp_path, {path: yaml.safe_dump(yaml.safe_load(text) | break_it)})
    done = nexus("render", "--root", tmp_path)
    assert done.returncode == 2
    assert f"{path}: {said}" in done.stderr
    assert not (tmp_path / "gitops").exists()


def test_a_model_is_added_by_what_the_page_lists_and_its_proposal_may_land(tmp_path: Path) -> None:
    ((path, text),) = files_of("add-a-model.md").items()
    before, after = tmp_path / "main", tmp_path / "proposal"
    plant_environments(before)
    write(before, {path: text})
    model = read_spec(before / path).model
    assert nexus("render", "--root", before).returncode == 0
    shutil.copytree(before, after)
    record = make_record(model, 1)
    plan = admitted(None, model, plant_record(after, record))
    write(after, {plan_path("dev", model): plan_text(plan)})
    assert nexus("render", "--root", after).returncode == 0
    added = {one.relative_to(after).as_posix() for one in after.rglob("*") if one.is_file()}
    added -= {one.relative_to(before).as_posix() for one in before.rglob("*") if one.is_file()}
    assert service_path("dev", model, plan.stable.release) in added
    listed = re.findall(r"^\| `((?:gitops|environments)/[^`]+)`", (HOW_TO / "add-a-model.md").read_text(), re.MULTILINE)
    known = [
        re.compile(re.escape(one).replace("<id>", "[0-9a-f]{64}") + ("" if "." in one else ".+")) for one in listed
    ]
    assert [one for one in added if not any(pattern.fullmatch(one) for pattern in known)] == []
    assert [pattern.pattern for pattern in known if not any(pattern.fullmatch(one) for one in added)] == []
    landing = nexus("check", before, after, "--env", "dev")
    assert landing.returncode == 0, landing.stderr
    write(after, {"environments/dev/settings.yaml": "namespace: nexus-mine\n"})
    assert nexus("check", before, after, "--env", "dev").returncode != 0


def test_the_table_of_schemes_is_what_is_planned_by() -> None:
    rows = [line for line in (HOW_TO / "gpu-node-pools.md").read_text().splitlines() if line.startswith("| `")]
    columns = ["A100-80GB", "L40S", "H100-80GB", "B300"]
    said = {"native": "yes", "none": "no"}
    assert len(rows) == 3
    for row in rows:
        scheme, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        for model, cell in zip(columns, cells, strict=True):
            found = kernels(scheme.strip("`"), GPUS[model].capability)  # type: ignore[arg-type,index]  # words of a page
            assert cell.startswith(said.get(found, "weight-only")), (scheme, model)
