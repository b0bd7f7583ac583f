"""A release on Kubeflow Pipelines: what is compiled, and that its own local runner leaves what a laptop leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.config import Settings, load_settings
from nexus_release.graph import NODES, feeds
from nexus_release.pods import pod_of

from ..support.client import installed
from ..support.kfp_home import BIN, KfpHome, KfpRun
from ..support.releases import plant_environments
from ..support.remotes import Remote
from ..support.repository import ROOT
from .conftest import bad_spec, on_the_laptop, program

MakeKfp = Callable[..., KfpHome]
DIGEST = "@sha256:" + "0" * 64


@pytest.fixture
def kfp(tmp_path: Path) -> MakeKfp:
    """Makes a folder where KFP's local runner runs; the keywords are variables."""
    return lambda **variables: KfpHome(tmp_path / "kfp", variables)


@pytest.fixture(scope="module")
def dev() -> Settings:
    return load_settings(ROOT, "dev")


class Compiled:
    """The intermediate representation, by what the tests ask of it."""

    def __init__(self, text: str) -> None:
        self.spec, platform = yaml.safe_load_all(text)
        self.pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        self.deadline = platform["platforms"]["kubernetes"]["pipelineConfig"]["activeDeadlineSeconds"]
        self.groups = {"": self.spec["root"]} | self.spec["components"]

    def container(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
        return found

    def task(self, name: str) -> Mapping[str, Any]:
        (found,) = (tasks[name] for tasks in self._tasks() if name in tasks)
        task: Mapping[str, Any] = found
        return task

    def names(self) -> list[str]:
        return [name for tasks in self._tasks() for name in tasks]

    def conditions(self, name: str) -> list[str]:
        """Of the branches that the task stands in, outermost first."""
        for group, component in self.groups.items():
            if name in component.get("dag", {}).get("tasks", {}):
                (outer,) = [*self._users(group)] or [""]
                own = self.task(name).get("triggerPolicy", {}).get("condition", "")
                return [*(self.conditions(outer) if outer else []), *([own] if own else [])]
        raise AssertionError(name)

    def _users(self, group: str) -> list[str]:
        return [
            name for tasks in self._tasks() for name, task in tasks.items() if task["componentRef"]["name"] == group
        ]

    def _tasks(self) -> list[Mapping[str, Any]]:
        return [component["dag"]["tasks"] for component in self.groups.values() if "dag" in component]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return Compiled((ROOT / "pipelines" / "release_kfp.yaml").read_text())


def test_what_is_committed_is_what_the_graph_compiles_to(kfp: MakeKfp) -> None:
    home = kfp(PYTHONHASHSEED="7")
    for words, name in ([], "release_kfp.yaml"), (["--kubernetes"], "release_kfp_kubernetes.yaml"):
        done = home.call("compile", *words)
        assert done.stdout == (ROOT / "pipelines" / name).read_text(), done.stderr


def test_a_version_is_named_by_its_content(kfp: MakeKfp, tmp_path: Path) -> None:
    plant_environments(tmp_path)
    home = kfp()

    def objects() -> tuple[dict[str, Any], dict[str, Any]]:
        pipeline, version = yaml.safe_load_all(home.call("compile", "--kubernetes", "--root", tmp_path).stdout)
        return pipeline, version

    pipeline, before = objects()
    assert (pipeline["kind"], before["kind"]) == ("Pipeline", "PipelineVersion")
    assert before["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    assert objects()[1]["metadata"]["name"] == before["metadata"]["name"]
    _settings(tmp_path, {"work_claim": "another"})
    after = objects()[1]
    assert after["metadata"]["name"] != before["metadata"]["name"]
    assert "another" in json.dumps(after["spec"])


def test_each_task_is_fed_by_what_its_step_reads(compiled: Compiled) -> None:
    for name, node in NODES.items():
        assert {*compiled.task(name)["inputs"]["parameters"]} == {"params", *feeds(node)}


def test_what_follows_a_gate_stands_in_its_branch_and_a_no_has_a_task_of_its_own(compiled: Compiled) -> None:
    data, fit, artifact, quality = (
        f"inputs.parameter_values['pipelinechannel--{gate}-accepted'] == true"
        for gate in ("validate", "fit", "inspect", "evaluate")
    )
    assert compiled.conditions("validate") == []
    assert compiled.conditions("fit") == [data]
    assert compiled.conditions("train") == compiled.conditions("inspect") == [data, fit]
    assert compiled.conditions("evaluate") == [data, fit, artifact]
    assert compiled.conditions("register") == compiled.conditions("propose") == [data, fit, artifact, quality]
    refused = [compiled.conditions(name) for name in compiled.names() if name.startswith("refused")]
    assert sorted(refused, key=len) == [
        [f"!({data})"], [data, f"!({fit})"], [data, fit, f"!({artifact})"], [data, fit, artifact, f"!({quality})"]
    ]  # fmt: skip


def test_retries_and_deadlines_are_the_steps_own(compiled: Compiled) -> None:
    for name, node in NODES.items():
        assert compiled.task(name)["retryPolicy"]["maxRetryCount"] == node.step.retries
        assert compiled.task(name)["retryPolicy"]["backoffFactor"] > 1
        assert compiled.pods[f"exec-{name}"]["activeDeadlineSeconds"] == str(node.step.timeout_seconds)
    longest = sum(node.step.timeout_seconds * (node.step.retries + 1) for node in NODES.values())
    assert compiled.deadline == longest


def test_the_summary_follows_however_the_release_ends(compiled: Compiled) -> None:
    end = compiled.task("summary")
    assert end["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert end["inputs"]["parameters"]["status"]["taskFinalStatus"]["producerTask"] == "exit-handler-1"


@pytest.mark.parametrize("name", NODES)
def test_a_pod_is_what_the_environment_says(name: str, compiled: Compiled, dev: Settings) -> None:
    wanted, pod, container = pod_of(NODES[name].step, dev), compiled.pods[f"exec-{name}"], compiled.container(name)
    assert container["image"] == wanted.image
    assert {one["name"]: one["value"] for one in container["env"]} == dict(wanted.variables)
    resources = container["resources"]
    assert resources["resourceMemoryRequest"] == resources["resourceMemoryLimit"] == wanted.amounts["memory"]
    assert resources["resourceCpuRequest"] == resources["resourceCpuLimit"] == wanted.amounts["cpu"]
    gpu = {"resourceType": "nvidia.com/gpu", "resourceCount": "1"} if "nvidia.com/gpu" in wanted.amounts else None
    assert resources.get("accelerator") == gpu or {*gpu.items()} <= {*resources["accelerator"].items()}  # type: ignore[union-attr]  # not None after `or`
    assert [one["constant"] for one in pod["pvcMount"]] == [wanted.claim]
    assert pod.get("nodeSelector", {}).get("labels", {}) == wanted.node_selector
    assert [one["key"] for one in pod.get("tolerations", [])] == [one.key for one in wanted.tolerations]
    seen = {key["envVar"]: one["secretName"] for one in pod.get("secretAsEnv", []) for key in one["keyToEnv"]}
    assert seen == {one.name: one.secret for one in wanted.secrets}
    assert pod["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("name", ["summary", "refused", "refused-2", "refused-3", "refused-4"])
def test_a_task_that_only_reads_sees_the_store_and_no_secret(name: str, compiled: Compiled, dev: Settings) -> None:
    pod = compiled.pods[f"exec-{name}"]
    assert "secretAsEnv" not in pod
    assert [one["constant"] for one in pod["pvcMount"]] == [dev.pods.work_claim]


def test_an_outcome_is_kept_where_it_follows_from_the_input_and_the_image_names_the_code(
    kfp: MakeKfp, tmp_path: Path, compiled: Compiled
) -> None:
    assert not [name for name in NODES if compiled.task(name)["cachingOptions"]]
    plant_environments(tmp_path)
    images = {"release": f"registry.example.com/release{DIGEST}", "train": f"registry.example.com/train{DIGEST}"}
    _settings(tmp_path, {"images": images})
    pinned = Compiled(kfp().call("compile", "--root", tmp_path).stdout)
    kept = {name for name in NODES if pinned.task(name)["cachingOptions"].get("enableCache")}
    assert kept == {name for name, node in NODES.items() if node.step.cacheable}
    assert pinned.container("train")["image"] == images["train"]


def test_nothing_is_installed_as_a_task_starts(compiled: Compiled) -> None:
    assert "pip install" not in json.dumps(compiled.spec)


def test_the_pipeline_is_typed_where_kfp_is_installed() -> None:
    installed(BIN / "python", "setup-kfp")
    words = ["-m", "mypy", "--cache-dir=.mypy_cache/kfp", "--python-executable", str(BIN / "python")]
    for what in (["-p", "nexus_kfp"], ["pipelines/release_kfp.py"]):
        done = subprocess.run([sys.executable, *words, *what], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_a_refused_release_is_a_good_run_and_says_why(refused_by_kfp: tuple[KfpRun, Path]) -> None:
    run, _ = refused_by_kfp
    assert run.status == 0, run.said
    assert run.tasks == {"validate", "refused", "summary"}
    (refused,) = run.folder.glob("refused*")
    assert "10 of 10 rows break the contract" in (refused / "text").read_text()


def test_a_refused_release_leaves_the_laptops_summary(refused_by_kfp: tuple[KfpRun, Path], tmp_path: Path) -> None:
    run, spec = refused_by_kfp
    remote = Remote(tmp_path, plant_environments)
    laptop = on_the_laptop(spec, ROOT, {"NEXUS_STATE": str(tmp_path / "laptop"), "NEXUS_REMOTE": str(remote.path)})
    assert run.outcome()["outcome"] == "refused"
    assert run.summary.read_bytes() == laptop.read_bytes()


def test_a_step_hands_on_what_it_found_and_what_a_person_sees(refused_by_kfp: tuple[KfpRun, Path]) -> None:
    run, _ = refused_by_kfp
    told = run.left("validate")
    assert told["parameterValues"]["accepted"] is False
    (step,) = run.outcome()["steps"]
    assert json.loads(told["parameterValues"]["out"]) == step["out"]
    (left,), (figures,) = (told["artifacts"][name]["artifacts"] for name in ("left", "figures"))
    assert left["metadata"]["digest"] == step["out"]["dataset"]
    assert figures["metadata"]["rows.refused"] == 10
    assert "break the contract" in (run.folder / "validate" / "text").read_text()


def test_bad_input_fails_the_run_and_the_summary_says_what_it_was(kfp: MakeKfp, tmp_path: Path) -> None:
    spec = tmp_path / "wrong.yaml"
    spec.write_text(json.dumps({"model": "wrong", "dataset": "gopher://nowhere"}))
    run = kfp().run(spec)
    assert run.status == 1
    assert run.tasks == {"summary"}
    assert run.outcome()["outcome"] == "failed"
    assert run.outcome()["reason"].startswith("validate: nexus: dataset")
    assert "gopher://nowhere" in (run.folder / "summary" / "text").read_text()


def test_an_error_is_tried_again_and_then_forgotten(kfp: MakeKfp, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    fails_once = f'[ "$1" != step ] || {{ echo >> {tries}; [ $(wc -l < {tries}) -gt 1 ] || exit 1; }}'
    run = kfp(NEXUS_BIN=str(program(tmp_path / "nexus", fails_once))).run(bad_spec(tmp_path))
    assert run.status == 0, run.said
    assert len(tries.read_text().splitlines()) == 2
    assert run.outcome()["outcome"] == "refused"


def test_a_step_that_is_killed_is_told_of(kfp: MakeKfp, tmp_path: Path) -> None:
    dies = program(tmp_path / "nexus", '[ "$1" != step ] || kill -9 $$')
    run = kfp(NEXUS_BIN=str(dies)).run(bad_spec(tmp_path))
    assert run.status == 1
    assert run.outcome()["reason"] == "validate: exit status -9"


def _settings(root: Path, pods: Mapping[str, Any]) -> None:
    own = root / "environments" / "dev" / "settings.yaml"
    own.write_text(yaml.safe_dump(yaml.safe_load(own.read_text()) | {"pods": dict(pods)}))
