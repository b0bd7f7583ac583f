"""gitops/overlays/: fresh, whole and valid; and the mock one answers, by the real gateway and the real worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nexus_release.manifests.overlays import LOCAL_TAG, OVERLAYS, WORKERS, overlays
from nexus_release.manifests.scaling import refuse_two_scalers
from nexus_release.manifests.tree import compare

from ..support.gateway import PLAIN, until
from ..support.kustomize import kustomize
from ..support.object_schemas import Document, object_faults
from ..support.redis_server import RedisServer, kept
from ..support.repository import ROOT
from ..support.worker import Worker
from .test_gateway_pods import Kubelet

FOLDER = ROOT / "gitops" / OVERLAYS
SCRIPT = ROOT / "ops" / "overlay.sh"
SECRETS = ROOT / "ops" / "overlay_secrets.py"


@cache
def built(name: str) -> dict[tuple[str, str], Document]:
    """(kind, name) -> object of an overlay."""
    done = subprocess.run([*kustomize(), str(FOLDER / name)], check=True, capture_output=True, text=True)
    found = [*yaml.safe_load_all(done.stdout)]
    by_name = {(body["kind"], body["metadata"]["name"]): body for body in found}
    assert len(by_name) == len(found)
    return by_name


def container(name: str, deployment: str = "model-worker") -> Document:
    (found,) = built(name)["Deployment", deployment]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def printed(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    kustomize()
    return subprocess.run([SCRIPT, *words], check=check, capture_output=True, text=True)


def made_secrets(**variables: str) -> tuple[dict[str, dict[str, str]], list[str]]:
    """({Secret: {key: value}}, what was told on stderr)."""
    environ = {**{name: value for name, value in os.environ.items() if name != "HF_TOKEN"}, **variables}
    done = subprocess.run([sys.executable, SECRETS], check=True, capture_output=True, text=True, env=environ)
    items = json.loads(done.stdout)["items"]
    assert [fault for item in items for fault in object_faults(item)] == []
    return {item["metadata"]["name"]: item["stringData"] for item in items}, done.stderr.splitlines()


def test_they_follow_from_the_base_settings() -> None:
    assert compare(ROOT, OVERLAYS, overlays(ROOT)) == {}


def test_render_writes_them_and_finds_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "base.yaml").write_bytes((ROOT / "environments" / "base.yaml").read_bytes())

    def render(*words: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("nexus"), "render", "--root", tmp_path, *words]
        return subprocess.run(command, capture_output=True, text=True)

    assert render("--check").returncode == 1
    assert render().returncode == 0
    assert render("--check").returncode == 0
    (tmp_path / "gitops" / OVERLAYS / "mock" / "deployment.yaml").write_text("kind: Deployment\n")
    assert "gitops/overlays/mock/deployment.yaml: changed" in render("--check").stdout


@pytest.mark.parametrize("name", WORKERS)
def test_each_is_a_whole_installation_by_one_command(name: str) -> None:
    found = built(name)
    assert {path: lines for path, body in found.items() if (lines := object_faults(body))} == {}
    assert {
        ("Namespace", "nexus"),
        ("Deployment", "nexus-gateway"),
        ("HorizontalPodAutoscaler", "nexus-gateway"),
        ("Service", "nexus-gateway"),
        ("Service", "nexus-gateway-lb"),
        ("Ingress", "nexus-gateway"),
        ("ConfigMap", "nexus-gateway-routes"),
        ("StatefulSet", "nexus-redis"),
        ("Deployment", "model-worker"),
        ("Service", "model-worker"),
    } <= found.keys()
    assert found["Ingress", "nexus-gateway"]["spec"]["rules"][0]["host"] == "gateway.local"
    assert found["Service", "nexus-gateway-lb"]["spec"]["type"] == "LoadBalancer"
    assert {body["metadata"].get("namespace", "nexus") for body in found.values()} == {"nexus"}
    refuse_two_scalers(found.values())
    assert not {body["apiVersion"] for body in found.values()} & {"serving.kserve.io/v1beta1", "argoproj.io/v1alpha1"}


@pytest.mark.parametrize("name", WORKERS)
def test_what_its_pods_name_is_there_or_made_by_the_other_command(name: str) -> None:
    found, (made, _) = built(name), made_secrets()
    for workload in (body for (kind, _), body in found.items() if kind in ("Deployment", "StatefulSet")):
        pod = workload["spec"]["template"]["spec"]
        assert ("ServiceAccount", pod["serviceAccountName"]) in found
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in found
            if "secret" in volume:
                assert volume["secret"]["secretName"] in made
        for variable in (one for each in pod["containers"] for one in each.get("env", [])):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["key"] in made[reference["name"]]


@pytest.mark.parametrize("name", WORKERS)
def test_no_secret_is_committed(name: str) -> None:
    assert not [key for key in built(name) if key[0] == "Secret"]


def test_a_worker_on_the_cpu_scales_from_1_to_3_by_its_cpu_and_one_on_a_gpu_does_not() -> None:
    for name, worker in WORKERS.items():
        scaler = built(name).get(("HorizontalPodAutoscaler", "model-worker"))
        assert (scaler is None) == worker.on_gpu
        if scaler:
            assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 3)
            assert scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
            assert "replicas" not in built(name)["Deployment", "model-worker"]["spec"]


@pytest.mark.parametrize(("name", "asks"), [("gpu", "--model=$(MODEL_ID)"), ("gpu/sglang", "--model-path=$(MODEL_ID)")])
def test_a_gpu_overlay_fetches_its_model_onto_nodes_that_have_one(name: str, asks: str) -> None:
    found, pod = container(name), built(name)["Deployment", "model-worker"]["spec"]["template"]["spec"]
    assert found["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"nexus.internal/gpu": "a100"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert asks in found["args"]
    told = {variable["name"]: variable for variable in found["env"]}
    assert told["MODEL_ID"]["value"]
    assert told["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "nexus-hub"
    assert "HF_HUB_OFFLINE" not in told
    policies = [body["spec"] for (kind, _), body in built(name).items() if kind == "NetworkPolicy"]
    https = [{"protocol": "TCP", "port": 443}]
    fetches = [spec for spec in policies if any(rule["ports"] == https for rule in spec.get("egress", []))]
    assert [spec["podSelector"]["matchLabels"] for spec in fetches] == [{"app.kubernetes.io/name": "model-worker"}]


def test_images_of_ours_are_taken_from_a_repository_by_a_tag_and_those_of_others_stay() -> None:
    def images(text: str) -> set[str]:
        return {line.partition("image:")[2].strip() for line in text.splitlines() if " image: " in line}

    plain = images(printed("mock").stdout)
    named = images(printed("mock", "registry.example.com/nexus", "1.2.0").stdout)
    ours = {"nexus-gateway", "nexus-worker"}
    assert {f"{image}:{LOCAL_TAG}" for image in ours} == plain - named
    assert {f"registry.example.com/nexus/{image}:1.2.0" for image in ours} == named - plain
    assert all("@sha256:" in image for image in plain & named)
    assert not list((ROOT / ".nexus").glob("overlay-*"))


def test_an_overlay_that_there_is_not_is_said() -> None:
    done = printed("gpus", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "NAME is 'gpus': give mock, gpu, gpu/sglang or bentoml" in done.stderr


def test_the_secrets_hold_no_key_that_the_gateway_keeps_and_take_the_hub_s_token() -> None:
    made, told = made_secrets(HF_TOKEN="hf_made_up")
    client, admin = (line.rpartition(" ")[2] for line in told)
    assert client not in json.dumps(made)
    assert made["nexus-gateway-probe"] == {"NEXUS_GATEWAY_KEY": admin}
    assert made["nexus-hub"] == {"HF_TOKEN": "hf_made_up"}
    assert made["nexus-redis"]["auth.conf"].split()[1] in made["nexus-redis"]["url"]
    assert made_secrets()[0]["nexus-redis"] != made["nexus-redis"]


def ask(url: str, key: str, once: str = "", **more: Any) -> httpx.Response:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, **more}
    headers = {"authorization": f"Bearer {key}", **({"idempotency-key": once} if once else {})}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30, verify=PLAIN)


def routes_here(routes: Mapping[str, str], folder: Path, worker: str) -> None:
    for file, text in routes.items():
        assert text.count("http://model-worker.nexus.svc.cluster.local") == 1
        (folder / file).write_text(text.replace("http://model-worker.nexus.svc.cluster.local", worker))


def test_the_mock_overlay_answers_by_what_its_pods_say(tmp_path: Path) -> None:
    """Folders and ports of this machine stand for those of the pods; all else is as it is rendered."""
    found, (made, told) = built("mock"), made_secrets()
    client, admin = (line.rpartition(" ")[2] for line in told)
    server = RedisServer(tmp_path).start()
    kubelet = Kubelet(found["Deployment", "nexus-gateway"], tmp_path, {("nexus-redis", "url"): server.url})
    (kubelet.folders["/etc/nexus/keys"] / "keys.yaml").write_text(made["nexus-gateway-keys"]["keys.yaml"])
    program = container("mock")
    assert program["command"] == ["nexus-worker", "serve"]
    words = [word for word in program["args"] if not word.startswith(("--port=", "--host="))]
    try:
        with Worker(*words) as worker:
            assert worker.status(program["readinessProbe"]["httpGet"]["path"]) == 200
            routes = found["ConfigMap", "nexus-gateway-routes"]["data"]
            routes_here(routes, kubelet.folders["/etc/nexus/routes.d"], worker.url)
            with kubelet.running():
                until(lambda: kubelet.probe("readinessProbe"), "the gateway is ready")
                url = f"http://127.0.0.1:{kubelet.port}"
                whole = until(lambda: kept(ask(url, client, once="answer-1")), "Redis has kept the answer")
                assert whole.headers["x-nexus-route"] == "chat"
                assert whole.json()["usage"]["completion_tokens"] == 4
                assert ask(url, client, stream=True).text.rstrip().endswith("data: [DONE]")
                assert ask(url, "somebody-else").status_code == 401
                headers = {"authorization": f"Bearer {admin}"}
                config = httpx.get(f"{url}/admin/config", headers=headers, timeout=30, verify=PLAIN)
                assert config.status_code == 200
                assert server.keys()  # the answer is in the Redis that the Secret names
    finally:
        server.kill()
