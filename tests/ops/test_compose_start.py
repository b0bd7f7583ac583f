"""How `make compose` starts: its first start with a stub in Docker's place, what it starts of ours for real without
Docker, and, where it is asked for (NEXUS_COMPOSE=1) and Docker is, all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from nexus_release.local.free_ports import free_port
from nexus_release.local.processes import Process, Program

from ..support.docker_compose import STACK, run_stack, stack
from ..support.gateway import BIN, Gateway, until
from ..support.redis_server import kept
from ..support.repository import ROOT
from ..support.worker import Worker

DOCKER = f"""#!/bin/sh
echo "$*" >>"$RECORD"
case "$*" in
    *" run "*" gateway keys new "*) exec "{BIN}/nexus-gateway" keys new --id client ;;
    *" up "*) exit "${{FAILS:-0}}" ;;
esac
"""


class FirstStart:
    def __init__(self, folder: Path) -> None:
        self.state, self._record, self._bin = folder / "state", folder / "calls", folder / "bin"
        self._bin.mkdir()
        (self._bin / "docker").write_text(DOCKER)
        (self._bin / "docker").chmod(0o755)

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{self._bin}:{os.environ['PATH']}"
        return run_stack(self.state, *words, PATH=path, RECORD=str(self._record), **variables)

    def calls(self) -> list[str]:
        """What Docker was asked since the last time, without the files that each call names."""
        lines = self._record.read_text().splitlines()
        self._record.unlink()
        return [line.rpartition("nexus.env ")[2] for line in lines]

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.state).as_posix(): path.read_bytes()
            for path in self.state.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def first(tmp_path: Path) -> FirstStart:
    return FirstStart(tmp_path)


def test_the_first_start_makes_every_secret_and_shows_the_key_and_the_next_makes_none(first: FirstStart) -> None:
    done = first.run("up")
    assert done.returncode == 0, done.stderr
    assert first.calls() == [
        "build",
        "run --rm --no-deps --no-TTY gateway keys new --id client",
        "up --detach --wait --remove-orphans",
    ]
    made = first.files()
    (shown,) = [line for line in done.stdout.splitlines() if "shown this once" in line]
    key = shown.split()[-1]
    assert key.startswith("nxs-")
    assert key.encode() not in b"".join(made.values())
    again = first.run("up")
    assert first.calls() == ["build", "up --detach --wait --remove-orphans"]
    assert (again.returncode, first.files()) == (0, made)
    assert "nxs-" not in again.stdout + again.stderr


def test_secrets_are_closed_to_others_and_open_to_the_containers(first: FirstStart) -> None:
    first.run("up")
    modes = {path.relative_to(first.state).as_posix(): path.stat().st_mode & 0o777 for path in first.state.rglob("*")}
    assert {name: mode for name, mode in modes.items() if "/" not in name} == {
        "mlflow.env": 0o600,
        "nexus.env": 0o600,
        "secrets": 0o700,
    }
    inside = {name: mode for name, mode in modes.items() if "/" in name}
    assert {name: mode for name, mode in inside.items() if name.count("/") == 1} == {
        "secrets/alertmanager": 0o755,
        "secrets/gateway": 0o755,
    }
    assert {mode for name, mode in inside.items() if name.count("/") == 2} == {0o644}


def test_every_file_that_alertmanager_and_grafana_read_is_made_and_yours_is_left(first: FirstStart) -> None:
    first.run("up")
    secrets = first.state / "secrets" / "alertmanager"
    text = (ROOT / "ops/alertmanager/alertmanager.yml").read_text()
    assert {path.name for path in secrets.iterdir()} == {
        line.rpartition("/")[2].rstrip("}") for line in text.splitlines() if "_file: /etc/alertmanager/secrets/" in line
    }
    assert len((secrets / "webhook-token").read_text()) >= 32
    (secrets / "slack-url").write_text("https://hooks.example.com/ours")
    first.run("up")
    assert (secrets / "slack-url").read_text() == "https://hooks.example.com/ours"


def test_nothing_that_is_made_is_in_git() -> None:
    for name in ("secrets/gateway/keys.yaml", "nexus.env", "mlflow.env", "logging.env"):
        ignored = ["git", "check-ignore", "--quiet", f"ops/compose/{name}"]
        assert subprocess.run(ignored, cwd=ROOT, check=False).returncode == 0, name


def test_a_start_that_fails_says_so_and_keeps_the_key(first: FirstStart) -> None:
    assert first.run("up", FAILS="17").returncode == 17
    assert "shown this once" not in first.run("up").stdout


def test_it_is_taken_down_by_its_name_whatever_was_started(first: FirstStart) -> None:
    assert first.run("down").returncode == 0
    assert first.calls() == ["compose --project-name nexus down"]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    first = FirstStart(tmp_path_factory.mktemp("parts"))
    first.run("up")
    return stack(first.state).services


@pytest.fixture(scope="module")
def redis(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port: the service's own command, by Debian's Redis."""
    folder, port, service = tmp_path_factory.mktemp("redis"), free_port(), services["redis"]
    shell, flag, script = (word.replace("$$", "$") for word in service["command"])
    script = f"{script.replace('/data', str(folder))} --port {port} --bind 127.0.0.1"
    program = Program("redis", (shell, flag, script), dict(service["environment"]))
    with Process.start(program, folder / "log"):
        well = {**os.environ, **service["environment"]}
        check = service["healthcheck"]["test"][1].replace("redis-cli", f"redis-cli -p {port}")
        until(lambda: subprocess.run(check, shell=True, env=well, capture_output=True).returncode == 0, "it is well")  # noqa: S602 - the file's own line
        assert subprocess.run(check, shell=True, env=well | {"REDISCLI_AUTH": "x"}, capture_output=True).returncode  # noqa: S602 - the same
        yield port


@pytest.fixture(scope="module")
def engine(services: dict[str, Any]) -> Iterator[Worker]:
    command, *words = services["model-worker"]["command"]
    assert command == "serve"
    with Worker(*(word for word in words if not word.startswith(("--host=", "--port=")))) as worker:
        yield worker


@pytest.fixture(scope="module")
def gateway(
    services: dict[str, Any], redis: int, engine: Worker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The service's own command, with the folders and addresses of this machine."""
    folder, service = tmp_path_factory.mktemp("gateway"), services["gateway"]
    places = {mount["target"]: mount["source"] for mount in service["volumes"] if mount["type"] == "bind"}
    command, *words = service["command"]
    given = []
    for word in words:
        flag, _, value = word.partition("=")
        at = next((target for target in places if value.startswith(target)), None)
        if flag not in {"--host", "--port"}:
            given += [flag, value.replace(at, places[at]) if at else str(folder / value.strip("/"))]
    resolve = folder / "resolve.json"
    resolve.write_text(json.dumps({"model-worker:8080": engine.url.removeprefix("http://")}))
    told = {
        "GATEWAY_REDIS_URL": service["environment"]["GATEWAY_REDIS_URL"].replace("redis:6379", f"127.0.0.1:{redis}")
    }
    assert command == "serve"
    started = Gateway(folder, *given, "--resolve", str(resolve), env=told).wait()
    yield started
    assert started.stop() == 0


def well(service: dict[str, Any], url: str) -> bool:
    """Whether the service's own health check, asked at this address, says so."""
    kind, _, *words = service["healthcheck"]["test"]
    port = url.rpartition(":")[2]
    words = [word.replace(":8000/", f":{port}/").replace(":8080/", f":{port}/") for word in words]
    assert kind == "CMD"
    return subprocess.run([sys.executable, *words], capture_output=True, check=False).returncode == 0


def test_what_compose_starts_of_ours_answers_by_a_key_of_its_file_and_is_well(
    services: dict[str, Any], gateway: Gateway, engine: Worker, redis: int
) -> None:
    assert well(services["gateway"], gateway.url)
    assert well(services["model-worker"], engine.url)
    assert gateway.get("/v1/models", key="dev-key").status_code == 401
    key = new_key(next(one["source"] for one in services["gateway"]["volumes"] if one["target"] == "/etc/nexus/keys"))
    until(lambda: gateway.get("/v1/models", key=key).status_code == 200, "it has taken the new key, as the page says")
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "asked-once"}
    answer = until(lambda: kept(gateway.ask("chat", headers=headers, max_tokens=5)), "the gateway and its Redis speak")
    assert answer.json()["choices"][0]["message"]["content"]
    password = services["redis"]["environment"]["REDISCLI_AUTH"]
    with Redis(port=redis, password=password) as server:
        assert server.dbsize() == 1, "the answer, so the gateway has Redis's password"


def new_key(folder: str) -> str:
    """In the place of all others."""
    command = [BIN / "nexus-gateway", "keys", "new", "--id", "test"]
    told, _, entry = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n")
    (Path(folder) / "keys.yaml").write_text(entry)
    return told.split()[-1]


def test_a_health_check_fails_where_nobody_answers(services: dict[str, Any]) -> None:
    assert not well(services["gateway"], f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def docker() -> None:
    if os.environ.get("NEXUS_COMPOSE") != "1":
        pytest.skip("NEXUS_COMPOSE=1 starts the whole stack by Docker, which pulls its images")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers")


@pytest.mark.usefixtures("docker")
def test_the_whole_stack_comes_up_and_is_scraped(tmp_path: Path) -> None:
    up = subprocess.run(
        [STACK, "up"], env={**os.environ, "NEXUS_COMPOSE_STATE": str(tmp_path)}, capture_output=True, text=True
    )
    try:
        assert up.returncode == 0, up.stderr
        (shown,) = [line for line in up.stdout.splitlines() if "shown this once" in line]
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
        headers = {"authorization": f"Bearer {shown.split()[-1]}"}
        answer = httpx.post("http://127.0.0.1:8000/v1/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200
        until(_scraped, "Prometheus has scraped gateway and engine", 120)
        assert httpx.get("http://127.0.0.1:3000/api/health").json()["database"] == "ok"
    finally:
        subprocess.run(["docker", "compose", "--project-name", "nexus", "down", "--volumes"], check=True)


def _scraped() -> bool:
    found = httpx.get("http://127.0.0.1:9090/api/v1/query", params={"query": "up == 1"}).json()["data"]["result"]
    return {"gateway:8000", "model-worker:8080"} <= {one["metric"]["instance"] for one in found}
