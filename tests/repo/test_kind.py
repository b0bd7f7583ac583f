"""`make kind`: what its scripts call and in which order, with stubs in place of Docker, kind and kubectl's cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nexus_release.config import load_settings
from nexus_release.manifests.tree import load_inputs, render

from ..support.application_sets import applications, built, folders_of, of_kind
from ..support.object_schemas import object_faults
from ..support.recorded_tools import RecordedTools
from ..support.repository import ROOT, tracked_files

KIND = ROOT / "ops" / "kind"
SCRIPTS = [path for path in tracked_files() if path.suffix == ".sh"]
STEPS = ("cluster", "addons", "images", "remote", "environment", "secrets", "follow", "release")
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
PINS = dict(line.split("=", 1) for line in (KIND / "versions.env").read_text().splitlines() if re.match("[A-Z]", line))


def checked(path: Path) -> str:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not here (`make services` installs it)")
    found = subprocess.run(["shellcheck", "--external-sources", path], cwd=ROOT, capture_output=True, text=True)
    return found.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    assert checked(script) == ""


def test_shellcheck_finds_a_planted_fault(tmp_path: Path) -> None:
    (tmp_path / "bad.sh").write_text("#!/bin/sh\nrm -rf $1\n")
    assert "SC2086" in checked(tmp_path / "bad.sh")


class Stage:
    """A folder in which the scripts are run, and what they have called."""

    def __init__(self, folder: Path) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            pytest.skip("kubectl is not here (`make services` installs it)")
        self.folder = folder
        self.state = folder / "state"
        self.remote = folder / "remote.git"
        self.tools = RecordedTools(folder, kubectl)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.remote], check=True)

    def run(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        stub = str(self.tools.bin / "fake-python")
        programs = Path(sys.executable).parent
        return self.tools.run(
            KIND / f"{script}.sh",
            NEXUS_KIND_STATE=str(self.state),
            NEXUS_KIND_REMOTE=str(self.remote),
            NEXUS_KIND_PAUSE="0",
            NEXUS_HERA_PYTHON=stub,
            NEXUS_KFP_PYTHON=stub,
            NEXUS_PYTHON=stub,
            NEXUS_BIN=str(programs / "nexus"),
            NEXUS_GATEWAY_BIN=str(programs / "nexus-gateway"),
            **more,
        )


@dataclass(frozen=True)
class Up:
    """After `up.sh`, once."""

    stage: Stage
    said: str
    calls: list[str]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Up:
    stage = Stage(tmp_path_factory.mktemp("kind"))
    ran = stage.run("up")
    assert ran.returncode == 0, ran.stderr
    return Up(stage, ran.stdout + ran.stderr, stage.tools.calls())


def called(calls: list[str], *words: str) -> list[int]:
    """Where in `calls` one has all the words."""
    return [number for number, call in enumerate(calls) if all(word in call for word in words)]


def test_the_cluster_is_brought_up_in_its_order(up: Up) -> None:
    calls = up.calls
    order = [
        called(calls, "kind create cluster", PINS["NODE_IMAGE"]),
        called(calls, "apply", "ingress-nginx.yaml"),
        called(calls, "apply", "cert-manager.yaml"),
        called(calls, "apply", "metallb.yaml"),
        called(calls, "apply", "kserve.yaml"),
        called(calls, "-n argocd apply", "argo-cd.yaml"),
        called(calls, "apply", PINS["KFP_FOLDER"]),
        called(calls, "-n argo apply", "argo-workflows.yaml"),
        called(calls, "docker push", "nexus/gateway"),
        called(calls, "docker push", "nexus/train"),
        called(calls, "apply", "git.yaml"),
        called(calls, "apply", "volumes.yaml"),
        called(calls, "apply", "ops/kind/argocd"),
        called(calls, "create", "workflow.yaml"),
        called(calls, "curl", "gateway.local:8080/v1/chat/completions"),
    ]
    assert [len(found) for found in order] == [1] * len(order), order
    assert order == sorted(order)
    assert re.findall("^kind: == (.*)$", up.said, re.MULTILINE) == [*STEPS]


def test_a_second_time_changes_nothing(up: Up) -> None:
    before = commits(up.stage.remote)
    assert len(before) == len(commits(ROOT)) + 1
    again = up.stage.run("up")
    assert again.returncode == 0, again.stderr
    calls = up.stage.tools.calls()
    assert called(calls, "kind create") == called(calls, "docker run") == called(calls, "create namespace") == []
    assert called(calls, "curl", "--output", ".yaml.part") == []
    assert commits(up.stage.remote) == before


def commits(repository: Path) -> list[str]:
    asked = ["git", "log", "--format=%h", "main" if repository.suffix == ".git" else "HEAD"]
    return subprocess.run(asked, cwd=repository, check=True, capture_output=True, text=True).stdout.splitlines()


def test_what_is_pushed_names_the_images_and_the_clusters_own_remote(up: Up, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    subprocess.run(["git", "clone", "--quiet", up.stage.remote, seen], check=True)
    settings = load_settings(seen, "dev")
    images = [settings.image, settings.gateway.image, settings.pods.images.release, settings.pods.images.train]
    assert all(image and re.match("localhost:5001/nexus/", image) and DIGEST.search(image) for image in images)
    assert len(set(images)) == 4
    files = render(load_inputs(seen, "dev"))
    assert {path: (seen / path).read_text() for path in files} == files
    assert "gitops/dev/gateway/deployment.yaml" in files
    repository = yaml.safe_load((seen / "gitops/argocd/repository.yaml").read_text())
    assert repository["data"]["url"] == "http://git.nexus-git.svc.cluster.local/nexus.git"
    (reached,) = settings.pods.egress["git"]
    assert {"namespace": reached.namespace, "pods": reached.pods, "ports": reached.ports} == git_pods()


def test_what_has_landed_since_is_rendered_with_what_is_new(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.run("images").returncode == 0
    assert stage.run("environment").returncode == 0
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", stage.remote, other], check=True)
    policies = other / "environments" / "dev" / "policies.yaml"
    policies.write_text(policies.read_text().replace("requests_per_minute: 60", "requests_per_minute: 61"))
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "commit", "--quiet", "--all", "--message", "landed"], cwd=other, check=True)
    subprocess.run(["git", "push", "--quiet", "origin", "HEAD:main"], cwd=other, check=True)
    ran = stage.run("environment")
    assert ran.returncode == 0, ran.stderr
    subprocess.run(["git", "pull", "--quiet"], cwd=other, check=True)
    files = render(load_inputs(other, "dev"))
    assert {path: (other / path).read_text() for path in files} == files


def git_pods() -> dict[str, object]:
    """The Git remote's pods as a NetworkPolicy has to name them: a policy sees the port that a pod listens on."""
    objects = list(yaml.safe_load_all((KIND / "git.yaml").read_text()))
    template = of_kind(objects, "Deployment")["spec"]["template"]
    ports = tuple(port["containerPort"] for container in template["spec"]["containers"] for port in container["ports"])
    space = of_kind(objects, "Namespace")["metadata"]["name"]
    return {"namespace": space, "pods": template["metadata"]["labels"], "ports": ports}


def test_passwords_and_keys_are_told_to_nobody(up: Up) -> None:
    state = up.stage.state
    secrets = [path.read_text().strip() for path in state.glob("*.password")]
    assert len(secrets) == 4
    assert not [secret for secret in secrets if secret in up.said]
    kept = [*state.glob("*.password"), state / "signing.pem", state / "keys.yaml", state / "redis-auth.conf"]
    assert {path.name: oct(path.stat().st_mode)[-2:] for path in kept} == {path.name: "00" for path in kept}


def test_every_secret_that_a_pod_names_is_made(up: Up, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    subprocess.run(["git", "clone", "--quiet", up.stage.remote, seen], check=True)
    folders = [*sorted((seen / "gitops/dev").iterdir()), *(seen / "gitops/platform" / name for name in PLATFORM)]
    objects = [body for folder in folders for body in built(folder)]
    wanted = {f"{body['metadata']['namespace']}/{name}" for body in objects for name in secrets_of(body)}
    assert {name for name in wanted if name.startswith("nexus-dev/")}
    assert wanted <= set(re.findall(r"^kind: Secret (\S+)$", up.said, re.MULTILINE))


PLATFORM = ("mlflow", "workflows")  # what follow.sh waits for; KFP's pods are made at run time, of the same settings


def secrets_of(value: Any) -> Iterator[str]:
    """Names of the Secrets that pods anywhere in `value` mount or read variables from."""
    if isinstance(value, list):
        for item in value:
            yield from secrets_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("secretKeyRef", "secretRef"):
                yield item["name"]
            elif key == "secret" and "secretName" in item:
                yield item["secretName"]
            else:
                yield from secrets_of(item)


def test_kserve_is_told_what_it_refuses_to_go_without_and_what_the_gateway_needs() -> None:
    told = {key: json.loads(value) for key, value in yaml.safe_load((KIND / "kserve.yaml").read_text())["data"].items()}
    assert told["deploy"]["defaultDeploymentMode"] == "Standard"
    # A merge puts the whole of each value in place of KServe's own.
    assert told["ingress"]["ingressGateway"]
    assert told["ingress"]["disableIngressCreation"] is True
    # Routes ask a release's Service at port 80, which is none where its name gives the pods' addresses.
    assert told["service"] == {"serviceClusterIPNone": False}


def test_a_manifest_that_changed_since_its_first_use_is_not_applied(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.run("addons").returncode == 0
    assert called(stage.tools.calls(), " apply ", "ingress-nginx")
    shutil.rmtree(stage.state / "manifests")
    ran = stage.run("addons", CHANGED=" and more")
    assert ran.returncode != 0
    assert "nothing of it is applied" in ran.stderr
    assert called(stage.tools.calls(), " apply ") == []


def test_what_goes_down_is_what_came_up_and_the_store_stays(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.run("cluster").returncode == 0
    for name in ("clone", "nexus/data"):
        (stage.state / name).mkdir(parents=True)
    stage.tools.calls()
    for _ in range(2):
        assert stage.run("down").returncode == 0
    calls = stage.tools.calls()
    assert called(calls, "kind delete cluster --name nexus")
    assert len(called(calls, "docker rm", "nexus-registry")) == 1
    assert not (stage.state / "clone").exists()
    assert (stage.state / "nexus" / "data").exists()


def test_every_version_is_pinned_in_one_place() -> None:
    for name, value in PINS.items():
        assert not name.endswith("_IMAGE") or DIGEST.search(value), name
        assert not name.endswith("_URL") or re.match(r"https://.*/(\w+-)?v[0-9.]+/", value), name
        assert not name.endswith("_FOLDER") or re.search(r"\?ref=[0-9.]+$", value), name
        assert not name.endswith("_SHA256") or value == "unknown" or re.fullmatch("[0-9a-f]{64}", value), name
    used = "".join(path.read_text() for path in KIND.glob("*.sh"))
    assert [name for name in PINS if f"${name}" not in used] == []
    assert re.findall("https?://[^ \"'|$]*github[^ \"']*", used) == []


NODE = {
    "type": "object",
    "required": ["role"],
    "additionalProperties": False,
    "properties": {
        "role": {"enum": ["control-plane", "worker"]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "extraMounts": {"type": "array", "items": {"required": ["hostPath", "containerPath"]}},
        "extraPortMappings": {"type": "array", "items": {"required": ["containerPort", "hostPort"]}},
    },
}
CLUSTER = {
    "type": "object",
    "required": ["kind", "apiVersion", "name", "nodes"],
    "additionalProperties": False,
    "properties": {
        "kind": {"const": "Cluster"},
        "apiVersion": {"const": "kind.x-k8s.io/v1alpha4"},
        "name": {"const": "nexus"},
        "containerdConfigPatches": {"type": "array", "items": {"type": "string"}},
        "nodes": {"type": "array", "items": NODE},
    },
}


def test_kinds_configuration_is_of_its_form() -> None:
    body = yaml.safe_load((KIND / "cluster.yaml").read_text())
    jsonschema.validate(body, CLUSTER)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**body, "nodes": [{"role": "master"}]}, CLUSTER)


@pytest.mark.parametrize("name", ["git", "postgres", "volumes"])
def test_what_is_applied_by_hand_is_valid_to_the_last_field(name: str) -> None:
    objects = list(yaml.safe_load_all((KIND / f"{name}.yaml").read_text()))
    assert {body["metadata"]["name"]: object_faults(body) for body in objects if object_faults(body)} == {}


def test_argo_cd_is_told_of_dev_alone() -> None:
    objects = built(KIND / "argocd")
    made = applications(of_kind(objects, "ApplicationSet", "nexus-environments"), folders_of(all_files()))
    assert {body["spec"]["source"]["path"].split("/")[1] for body in made} == {"dev"}
    assert {body["kind"] for body in objects} == {body["kind"] for body in built()}


def all_files() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in tracked_files()]


def test_addresses_are_of_dockers_network(up: Up) -> None:
    applied = [path.read_text() for path in up.stage.tools.record.glob("applied-*")]
    pools = [text for text in applied if "IPAddressPool" in text]
    assert pools
    assert all("172.19.255.200-172.19.255.250" in text and "172.18." not in text for text in pools)


@pytest.mark.services
def test_the_remote_in_the_cluster_takes_a_push_and_gives_it_back(tmp_path: Path) -> None:
    sys.path.insert(0, str(KIND))
    try:
        from git_server import GitServer
    finally:
        sys.path.remove(str(KIND))
    with GitServer(tmp_path / "nexus.git", "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/nexus.git"
        # Larger than what Git sends in one piece, so that it is sent in chunks.
        for command in (
            ["git", "push", "--quiet", url, "HEAD:refs/heads/main"],
            ["git", "clone", "--quiet", url, str(tmp_path / "seen")],
        ):
            subprocess.run(command, cwd=ROOT, check=True)
        server.shutdown()
    assert commits(tmp_path / "nexus.git") == commits(ROOT)


def test_images_are_built_on_another_base_where_one_is_named(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for base, named in (("", 0), ("mirror.test/python:3.11", len(IMAGES))):
        ran = stage.run("images", NEXUS_BASE=base)
        assert ran.returncode == 0, ran.stderr
        assert len(called(stage.tools.calls(), "docker build", "--build-arg BASE=mirror.test/python:3.11")) == named


IMAGES = re.findall(r"^image (\w+) (\S+) (\w+)$", (ROOT / "ops/push_images.sh").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("image", "file", "target"), IMAGES)
def test_an_image_is_of_a_pinned_base_of_locks_with_hashes_and_of_nobody_in_particular(
    image: str, file: str, target: str
) -> None:
    text = (ROOT / file).read_text()
    assert image == target
    assert re.search(rf"^FROM \S+ AS {target}$", text, re.MULTILINE)
    assert DIGEST.search(re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)[1])  # type: ignore[index] # a fault where there is none
    stages = {"${BASE}", *re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)}
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= stages
    assert "USER 1000:1000" in text
    installs = re.findall(r"pip install ([^&\n\\]*)", text)
    assert installs
    ours = {"--no-deps /nexus", "--no-deps /nexus /wheels/*.whl"}  # what a stage has compiled of the checkout
    assert all("--require-hashes" in words or words.strip() in ours for words in installs)
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
