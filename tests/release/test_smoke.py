"""`nexus smoke`: a real gateway before an engine that misbehaves, and before one that does not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nexus_release.convergence.routed import RoutedModel, RoutedRelease
from nexus_release.convergence.smoke import Answer, judged
from nexus_release.manifests.gateway import gateway as gateway_files
from nexus_release.manifests.network import ASKS_GATEWAY, network
from nexus_release.manifests.smoke import smoke as smoke_job
from nexus_release.manifests.unbuilt import unbuilt
from nexus_release.plan import admitted
from nexus_release.revisions import routes_revision

from ..support.cluster_settings import settings_of
from ..support.command import Nexus
from ..support.gateway import BIN, RELEASE, Gateway, direct, until, write_routes
from ..support.releases import make_pointer, make_record, plant_environments
from ..support.remotes import Remote
from ..support.replicas import replicas
from ..support.upstream import Engine
from ..support.worker import Worker

MODEL, ENVIRONMENT = "smoke-chat", "staging"
WORSE = ("500", "short", "error-event", "late-error-event", "no-json")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    running = Engine().start()
    yield running
    running.stop()


@pytest.fixture
def routes(engine: Engine, tmp_path: Path) -> Path:
    files = {name: direct(name, engine.url(name)) for name in ("ok", *WORSE)}
    files["helped"] = direct("helped", engine.url("500"))
    files["helped"]["routes"]["helped"]["fallbacks"] = ["ok"]
    return write_routes(tmp_path / "routes", files)


@pytest.fixture
def gateway(routes: Path, tmp_path: Path) -> Iterator[Gateway]:
    running = Gateway(tmp_path, "--routes", str(routes), "--workers", "2").wait()
    yield running
    assert running.stop() == 0


@pytest.fixture
def nexus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nexus:
    monkeypatch.setenv("NEXUS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NEXUS_GATEWAY_KEY", "dev-key")
    return Nexus(monkeypatch, capsys)


def test_each_model_has_a_line_and_what_fails_says_why(
    gateway: Gateway, routes: Path, nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_GATEWAY", gateway.url)
    done = nexus("smoke", "--routes", str(routes))
    assert done.status == 1, done.err
    told = {line.split()[1]: line for line in done.out.splitlines()}
    assert set(told) == {"ok", "helped", *WORSE}
    assert told["ok"] == f"ok      ok  {gateway.url}  release {RELEASE[:12]}"
    assert all(told[name].startswith("FAILED") for name in (*WORSE, "helped"))
    assert "whole: 502: upstream_failed" in told["500"]
    assert "stream: the answer is not whole" in told["short"]
    assert "answered in its stead; its own engines failed" in told["helped"]

    document = json.loads(nexus("smoke", "--routes", str(routes), "--json").out)
    assert document["revision"] == gateway.config()["revision"]
    assert {one["model"] for one in document["models"] if not one["faults"]} == {"ok"}


def test_a_gateway_that_serves_other_routes_is_not_asked(
    gateway: Gateway, engine: Engine, nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_GATEWAY", gateway.url)
    other = write_routes(tmp_path / "other", {"ok": direct("ok", engine.url("ok"))})
    before = len(engine.seen)
    done = nexus("smoke", "--routes", str(other), "--within", "0.5")
    assert (done.status, "is not served by all, and the time is over" in done.err) == (1, True)
    assert len(engine.seen) == before

    done = nexus("smoke", "--routes", str(other), "--revision", "0" * 64)
    assert (done.status, "what is mounted is not what this was rendered for" in done.err) == (1, True)
    revision = routes_revision({"ok.yaml": (other / "ok.yaml").read_bytes()})
    assert "waiting:" in nexus("smoke", "--routes", str(other), "--revision", revision, "--within", "0").err


def test_a_key_that_may_not_ask_fails_every_model(
    routes: Path, nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").mkdir()
    monkeypatch.setenv("NEXUS_GATEWAY_KEY", "wrong")
    running = Gateway(tmp_path / "small", "--routes", str(routes)).wait()
    monkeypatch.setenv("NEXUS_GATEWAY", running.url)
    try:
        done = nexus("smoke", "--routes", str(routes), "--within", "0")
        assert (done.status, "NEXUS_GATEWAY_KEY is no key with the scope admin" in done.err) == (1, True)
    finally:
        assert running.stop() == 0


def test_what_main_routes_is_asked_at_every_replica_in_turn(
    nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(tmp_path, plant_environments)
    monkeypatch.setenv("NEXUS_REMOTE", str(remote.path))
    for number, model in enumerate((MODEL, f"{MODEL}-two"), 1):
        remote.plan(admitted(None, model, remote.record(make_record(model, number))), environment=ENVIRONMENT)
    with (
        Worker("--engine=mock", f"--served-model-name={MODEL}") as one,
        Worker("--engine=mock", f"--served-model-name={MODEL}-two") as two,
        replicas(tmp_path, remote, ENVIRONMENT) as found,
    ):
        monkeypatch.setenv("NEXUS_GATEWAY", ",".join(replica.url for replica in found))
        seen = json.loads(nexus("status", "--env", ENVIRONMENT, "--engines", "--json").out)["environments"][0][
            "engines"
        ]
        table = {
            f"{engine['url'].removeprefix('http://')}:80": (one if engine["model"] == MODEL else two).url[
                len("http://") :
            ]
            for engine in seen
        }
        for replica in found:
            replica.resolve.write_text(json.dumps(table))
        done = until(lambda: (told := nexus("smoke", "--env", ENVIRONMENT)).status == 0 and told, "both answer")
        lines = done.out.splitlines()
        assert [line.split()[:2] for line in lines] == [["ok", MODEL], ["ok", f"{MODEL}-two"]]
        assert {line.split()[2] for line in lines} == {replica.url for replica in found}


class Job:
    """The rendered Job, as a kubelet would start it on this machine."""

    def __init__(self) -> None:
        documents = [
            yaml.safe_load(text)
            for text in gateway_files("gitops/prod/gateway", [], settings_of("prod"), None).values()
        ]
        (self.job,) = [one for one in documents if one["kind"] == "Job"]
        self.services = {one["metadata"]["name"]: one for one in documents if one["kind"] == "Service"}
        self.pod = self.job["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]

    def run(self, mounted: Path, gateway: str, folder: Path) -> subprocess.CompletedProcess[str]:
        (routes,) = [one["mountPath"] for one in self.container["volumeMounts"] if one["name"] == "routes"]
        program, *words = [*self.container["command"], *self.container["args"]]
        told = {one["name"]: one.get("value", "dev-key") for one in self.container["env"]}
        assert set(told) == {"HOME", "NEXUS_GATEWAY", "NEXUS_GATEWAY_KEY"}
        return subprocess.run(
            [BIN / program, *(word.replace(routes, str(mounted)) for word in words)],
            env={"PATH": os.environ["PATH"], **told, "HOME": str(folder), "NEXUS_GATEWAY": gateway},
            cwd=folder,
            capture_output=True,
            text=True,
        )


def test_the_rendered_job_asks_for_every_mounted_model_and_fails_with_one_that_fails(
    gateway: Gateway, routes: Path, engine: Engine, tmp_path: Path
) -> None:
    job = Job()
    failed = job.run(routes, gateway.url, tmp_path)
    assert failed.returncode == 1
    assert f"ok      ok  {gateway.url}" in failed.stdout

    well = write_routes(tmp_path / "well", {"ok": direct("ok", engine.url("ok"))})
    (tmp_path / "second").mkdir()
    running = Gateway(tmp_path / "second", "--routes", str(well)).wait()
    try:
        done = job.run(well, running.url, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("ok      ok")
    finally:
        assert running.stop() == 0
    assert list(tmp_path.glob(".nexus*")) == [], "it leaves nothing, so it needs no writable folder"


def test_the_rendered_job_is_a_hook_after_the_sync_that_only_the_gateway_lets_in() -> None:
    job = Job()
    assert job.job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PostSync"
    asked = {one["name"]: one.get("value") for one in job.container["env"]}["NEXUS_GATEWAY"]
    host, _, port = asked.removeprefix("http://").partition(":")
    service = job.services[host.split(".")[0]]
    assert service["spec"]["clusterIP"] == "None", "each replica has an address of its own"
    assert [one["port"] for one in service["spec"]["ports"]] == [int(port)]
    labels = job.pod["metadata"]["labels"].items()
    chosen = [one["spec"]["podSelector"].get("matchLabels", {}) for one in network(settings_of("prod")).values()]
    assert [own for own in chosen if own and own.items() <= labels] == [ASKS_GATEWAY]
    policy = network(settings_of("prod"))["asks-gateway.yaml"]
    assert [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]] == [53, 53, int(port)]
    assert (job.pod["spec"]["automountServiceAccountToken"], job.pod["spec"]["restartPolicy"]) == (False, "Never")
    assert job.pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_without_an_image_there_is_no_job_and_a_line_says_so() -> None:
    settings = settings_of("prod", {"pods": {"images": {"release": None}}})
    assert smoke_job(settings, "routes") == {}
    assert any(line.startswith("pods.images.release is null") for line in unbuilt(settings))
    assert not list(unbuilt(settings_of("prod")))


def test_two_pull_requests_do_not_meet_in_the_job() -> None:
    """It says nothing of the routes: what they are, it reads where they are mounted."""
    plans = [admitted(None, f"model-{seed}", make_pointer(make_record(f"model-{seed}", seed))) for seed in (1, 2)]
    rendered = [gateway_files("x", [plan], settings_of("prod"), None)["x/smoke.yaml"] for plan in plans]
    assert rendered[0] == rendered[1]


WELL = Answer(status=200, revision="r", release=RELEASE, whole=True)
ROUTED = RoutedModel(model="m", releases=(RoutedRelease(service="s", model="m", release=RELEASE, url="http://s"),))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"status": 0, "problem": "ConnectError"}, "no answer: ConnectError"),
        ({"status": 429, "problem": "rate_limited: wait"}, "429: rate_limited: wait"),
        ({"whole": False}, "not whole"),
        ({"revision": "q"}, "answered by revision q, not r"),
        ({"release": "b" * 64}, "which the plan does not name"),
        ({"release": ""}, "release (none) answered"),
        ({"fallback": "other"}, "other answered in its stead"),
    ],
)
def test_each_fault_of_an_answer_is_one_sentence(change: dict[str, object], said: str) -> None:
    found = list(judged(WELL.model_copy(update=change), ROUTED, "r"))
    assert len(found) == bool(said)
    assert all(said in sentence for sentence in found)
