"""The gateway's rendered pods: the real gateway starts by what they say, is found well by their probes, and stops."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nexus_release.config import Settings
from nexus_release.local.free_ports import free_port
from nexus_release.manifests.gateway import gateway
from nexus_release.manifests.redis import redis

from ..support.cluster_settings import CHOICES, settings_of
from ..support.gateway import BIN, PLAIN, direct, until, write_routes
from ..support.redis_server import RedisServer, kept
from ..support.releases import plant_repository

Document = dict[str, Any]


def rendered(settings: Settings) -> dict[str, Document]:
    """Kind -> object of the gateway's folder, where there is one of it."""
    documents = [yaml.safe_load(text) for path, text in gateway("x", [], settings, None).items()]
    return {document["kind"]: document for document in documents}


def container_of(settings: Settings) -> Document:
    container = rendered(settings)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert isinstance(container, dict)
    return container


class Kubelet:
    """Starts the container of a Deployment on this machine: its folders are folders of `root`, its port is free."""

    def __init__(self, deployment: Document, root: Path, secrets: Mapping[tuple[str, str], str]) -> None:
        pod = deployment["spec"]["template"]["spec"]
        self.container, *beside = pod["containers"]
        self.grace = pod["terminationGracePeriodSeconds"]
        self.port = free_port()
        self._root, self._secrets = root, secrets
        mounts = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        theirs = {mount["name"] for other in beside for mount in other["volumeMounts"]}
        assert {volume["name"] for volume in pod["volumes"]} == mounts.keys() | theirs
        self.folders = {mount: root / mount.strip("/") for mount in mounts.values()}
        for folder in self.folders.values():
            folder.mkdir(parents=True)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        program, *words = [*self.container["command"], *self.container["args"]]
        log = self._root / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [BIN / program, *(self._here(word) for word in words)],
                env={"PATH": os.environ["PATH"], **self._environment()},
                cwd="/",
                stdout=out,
                stderr=out,
            )
        try:
            until(lambda: self.probe("startupProbe") or process.poll() is not None, "it has started", 60)
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.kill()
            process.wait(10)

    def probe(self, name: str) -> bool:
        """As the kubelet asks: any status from 200 to 399 is well."""
        asked = self.container[name]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        assert f"--port={ports[asked['port']]}" in self.container["args"]
        url = f"{asked['scheme'].lower()}://127.0.0.1:{self.port}{asked['path']}"
        try:
            return 200 <= httpx.get(url, verify=PLAIN).status_code < 400
        except httpx.TransportError:
            return False

    def _here(self, word: str) -> str:
        if word.startswith("--port="):
            return f"--port={self.port}"
        name, _, value = word.partition("=")
        for mount, folder in self.folders.items():
            if value == mount or value.startswith(f"{mount}/"):
                return f"{name}={folder}{value.removeprefix(mount)}"
        assert not value.startswith("/"), f"{word} is in no volume, and the root is read-only"
        return word

    def _environment(self) -> dict[str, str]:
        found = {}
        for variable in self.container["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            found[variable["name"]] = (
                self._secrets[reference["name"], reference["key"]] if reference else variable["value"]
            )
        return {name: self._here(f"{name}={value}").partition("=")[2] for name, value in found.items()}


def new_key(folder: Path, *words: str) -> str:
    """Writes the key file that the Secret holds; returns the key."""
    made = subprocess.run(
        [BIN / "nexus-gateway", "keys", "new", "--id", "team-a", *words], check=True, capture_output=True, text=True
    )
    (folder / "keys.yaml").write_text(made.stdout)
    return made.stdout.splitlines()[0].rpartition(" ")[2]


@pytest.mark.services
def test_the_gateway_starts_serves_and_stops_as_its_deployment_says(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    settings = settings_of("dev", {"gateway": {"drain_seconds": 10, "grace_seconds": 5}})
    kubelet = Kubelet(rendered(settings)["Deployment"], tmp_path, {("nexus-redis", "url"): server.url})
    write_routes(kubelet.folders["/etc/nexus/routes.d"], {"chat": direct("chat", "mock://local")})
    key = new_key(kubelet.folders["/etc/nexus/keys"])
    try:
        with kubelet.running() as process:
            until(lambda: kubelet.probe("readinessProbe"), "it is ready")
            assert kubelet.probe("livenessProbe")
            asked = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
            url = f"http://127.0.0.1:{kubelet.port}/v1/chat/completions"

            def answer(**more: str) -> httpx.Response:
                headers = {"authorization": f"Bearer {key}", **more}
                return httpx.post(url, json=asked, headers=headers, timeout=30, verify=PLAIN)

            until(lambda: kept(answer(**{"idempotency-key": "once"})), "Redis has kept the answer")
            assert server.keys()  # the limits and the answer are in the Redis that the Secret names
            assert any(kubelet.folders["/var/nexus/state"].iterdir())
            signalled = time.monotonic()
            process.send_signal(signal.SIGTERM)
            until(lambda: not kubelet.probe("readinessProbe"), "it is no longer ready")
            assert kubelet.probe("livenessProbe")
            assert answer().status_code == 200  # still taken
            assert process.wait(kubelet.grace) == 0
            assert settings.gateway.drain_seconds <= time.monotonic() - signalled < kubelet.grace
    finally:
        server.kill()


def test_the_console_shows_what_the_container_beside_it_has_checked_out(tmp_path: Path) -> None:
    """As git-sync 4 does it: a folder for each commit, and a link to the newest."""
    over = (CHOICES["nobody outside"], CHOICES["a console with a checkout"])
    pod = rendered(settings_of("dev", *over))["Deployment"]["spec"]["template"]["spec"]
    kubelet = Kubelet({"spec": {"template": {"spec": pod}}}, tmp_path, {})
    beside = {variable["name"]: variable.get("value") for variable in pod["containers"][1]["env"]}
    folder = kubelet.folders[beside["GITSYNC_ROOT"]]
    key = new_key(kubelet.folders["/etc/nexus/keys"], "--admin")
    write_routes(kubelet.folders["/etc/nexus/routes.d"], {"chat": direct("chat", "mock://local")})

    def told() -> Document:
        url = f"http://127.0.0.1:{kubelet.port}/admin/canaries"
        headers = {"authorization": f"Bearer {key}"}
        found: Document = httpx.get(url, headers=headers, timeout=30, verify=PLAIN).json()
        return found

    with kubelet.running():
        assert "has no folder gitops/" in told()["problem"], "it serves before there is a checkout"
        plant_repository(folder / ".worktrees" / "1a2b3c", "local", "canary")
        (folder / beside["GITSYNC_LINK"]).symlink_to(".worktrees/1a2b3c")
        now = told()
    assert (now["problem"], now["environment"], bool(now["canaries"])) == (None, "local", True)


def test_the_container_beside_it_alone_writes_and_has_the_credential() -> None:
    pod = rendered(settings_of("dev", CHOICES["a console with a checkout"]))["Deployment"]["spec"]["template"]["spec"]
    gateway, sync = pod["containers"]
    writes = {
        one["name"]: {mount["name"]: not mount.get("readOnly") for mount in one["volumeMounts"]}
        for one in (gateway, sync)
    }
    assert (writes["gateway"]["checkout"], writes["git-sync"]["checkout"]) == (False, True)
    assert "git" not in writes["gateway"]
    told = {variable["name"]: variable.get("value") for variable in sync["env"]}
    assert told["GITSYNC_MAX_FAILURES"] == "-1", "a repository that is away ends no gateway"
    assert told["GITSYNC_PASSWORD_FILE"] == "/etc/nexus/git/password"
    (username,) = [variable for variable in sync["env"] if variable["name"] == "GITSYNC_USERNAME"]
    assert username["valueFrom"]["secretKeyRef"] == {"name": "nexus-console-git", "key": "username"}


def test_without_a_checkout_nothing_stands_beside_a_gateway() -> None:
    assert len(rendered(settings_of("dev"))["Deployment"]["spec"]["template"]["spec"]["containers"]) == 1


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"gateway": {"variables": {"GATEWAY_CONSOLE_CHECKOUT": "/elsewhere"}}}, "GATEWAY_CONSOLE_CHECKOUT"),
        ({"console": {"checkout": {"repository": "https://me:word@git.example.org/x.git"}}}, "repository"),
        ({"console": {"checkout": {"image": "registry.example.org/git-sync:v4"}}}, "image"),
        ({"console": {"checkout": {"egress": []}}}, "egress"),
    ],
)
def test_a_checkout_that_cannot_be_meant_is_refused(over: Document, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings_of("dev", CHOICES["a console with a checkout"], over)


def test_without_its_key_file_the_gateway_does_not_start(tmp_path: Path) -> None:
    settings = settings_of("dev", CHOICES["nobody outside"])
    kubelet = Kubelet(rendered(settings)["Deployment"], tmp_path, {})
    write_routes(kubelet.folders["/etc/nexus/routes.d"], {"chat": direct("chat", "mock://local")})
    with pytest.raises(AssertionError, match=r"keys\.yaml"), kubelet.running():
        pass


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_a_pod_has_time_for_its_drain_its_longest_answer_and_a_little(environment: str) -> None:
    settings = settings_of(environment)
    own, pod = settings.gateway, rendered(settings)["Deployment"]["spec"]["template"]["spec"]
    variables = {variable["name"]: variable.get("value") for variable in container_of(settings)["env"]}
    assert variables["GATEWAY_DRAIN_SECONDS"] == str(own.drain_seconds)
    assert int(variables["GATEWAY_GRACE_SECONDS"] or 0) >= settings.timeouts.total_seconds
    assert pod["terminationGracePeriodSeconds"] > own.drain_seconds + own.grace_seconds
    readiness = container_of(settings)["readinessProbe"]
    assert own.drain_seconds >= readiness["periodSeconds"] * readiness["failureThreshold"]
    assert "lifecycle" not in container_of(settings)


def test_routes_are_a_folder_so_that_a_change_reaches_the_pod() -> None:
    container = container_of(settings_of("dev"))
    assert all("subPath" not in mount for mount in container["volumeMounts"])
    (routes,) = [mount for mount in container["volumeMounts"] if mount["name"] == "routes"]
    assert f"--routes={routes['mountPath']}" in container["args"]


def test_pods_are_counted_by_one_who_counts() -> None:
    scaling, fixed = rendered(settings_of("dev")), rendered(settings_of("dev", CHOICES["load balancer"]))
    assert "replicas" not in scaling["Deployment"]["spec"]
    assert scaling["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "nexus-gateway"
    assert "HorizontalPodAutoscaler" not in fixed
    assert fixed["Deployment"]["spec"]["replicas"] == 1


def test_without_an_image_there_are_services_and_no_pods() -> None:
    found = rendered(settings_of("dev", {"gateway": {"image": None}}))
    assert {"Service", "Ingress", "ServiceMonitor"} <= found.keys()
    assert not {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "PrometheusRule"} & found.keys()


@pytest.mark.parametrize(
    ("choice", "door"),
    [
        ("nobody outside", None),
        ("ingress with a certificate", "Ingress"),
        ("gateway api", "HTTPRoute"),
        ("load balancer", "LoadBalancer"),
    ],
)
def test_there_is_one_door_and_it_leads_to_the_gateway(choice: str, door: str | None) -> None:
    texts = gateway("x", [], settings_of("prod", CHOICES[choice]), None).values()
    documents = [yaml.safe_load(text) for text in texts]
    doors = {
        body["spec"]["type"] if body["kind"] == "Service" else body["kind"]
        for body in documents
        if body["kind"] in ("Ingress", "HTTPRoute") or body.get("spec", {}).get("type") == "LoadBalancer"
    }
    assert doors == ({door} if door else set())


@pytest.mark.services
def test_redis_takes_the_rendered_configuration_and_nobody_without_its_password(tmp_path: Path) -> None:
    objects = redis(settings_of("dev"))
    config: Any = objects["configmap.yaml"]["data"]
    stateful: Any = objects["statefulset.yaml"]
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for folder in mounts.values():
        (tmp_path / folder.strip("/")).mkdir(parents=True)
    (tmp_path / mounts["auth"].strip("/") / "auth.conf").write_text("requirepass s3cret\n")

    def here(text: str) -> str:
        return text.replace("/etc/redis", f"{tmp_path}/etc/redis").replace("dir /data", f"dir {tmp_path}/data")

    port = free_port()
    file = tmp_path / mounts["config"].strip("/") / "redis.conf"
    file.write_text(here(config["redis.conf"]).replace("port 6379", f"port {port}\nbind 127.0.0.1"))
    assert container["command"] == ["redis-server", f"{mounts['config']}/redis.conf"]
    probe = container["readinessProbe"]["exec"]["command"]
    asked = [here(word).replace("6379", str(port)) for word in probe]
    process = subprocess.Popen(["redis-server", str(file)], stdout=subprocess.DEVNULL)
    try:
        until(lambda: subprocess.run(asked, capture_output=True).returncode == 0, "its probe finds it well")
        (tmp_path / mounts["auth"].strip("/") / "auth.conf").write_text("requirepass wrong\n")
        assert subprocess.run(asked, capture_output=True).returncode != 0, shlex.join(asked)
    finally:
        process.terminate()
        process.wait(60)
    assert (tmp_path / "data/appendonlydir").is_dir()
