"""ops/compose/logging.yaml and what it starts: read by Compose itself, and held to what its parts need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.docker_compose import require_compose
from ..support.repository import ROOT, tracked_files
from ..support.vector import Topology

COMPOSE = ROOT / "ops" / "compose" / "logging.yaml"
IMAGES = ROOT / "ops" / "compose" / "images.env"
TOPICS = ROOT / "ops" / "kafka" / "create_topics.sh"
PIN = ROOT / "ops" / "compose" / "pin_images.sh"
ONCE = {"topics", "bootstrap"}
"""Services that end."""


def composed(*files: Path) -> subprocess.CompletedProcess[str]:
    require_compose()
    given = [word for file in files for word in ("--env-file", str(file))]
    command = ["docker", "compose", "--file", str(COMPOSE), *given, "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made as the file's head says."""
    file = tmp_path_factory.mktemp("logging") / "logging.env"
    script = [sys.executable, str(COMPOSE.with_name("passwords.py")), "--of", "logging", str(file)]
    for _ in range(2):
        before = file.read_bytes() if file.exists() else None
        subprocess.run(script, check=True, capture_output=True)
        assert before in (None, file.read_bytes())
    return file


@pytest.fixture(scope="module")
def services(passwords: Path) -> dict[str, dict[str, Any]]:
    done = composed(IMAGES, passwords)
    assert done.returncode == 0, done.stderr
    read: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return read


def test_compose_refuses_to_start_without_passwords_or_images_and_says_where_they_come_from(passwords: Path) -> None:
    assert "run python3 ops/compose/passwords.py --of logging" in composed(IMAGES).stderr
    assert "give --env-file ops/compose/images.env" in composed(passwords).stderr


def test_every_password_is_generated_and_used(services: dict[str, Any], passwords: Path) -> None:
    made = dict(line.split("=", 1) for line in passwords.read_text().splitlines())
    used = {value for service in services.values() for value in (service.get("environment") or {}).values()}
    assert set(made.values()) <= used
    assert all(len(value) >= 32 for value in made.values())
    secret = re.compile(r"(\w*(?:PASSWORD|ENCRYPTIONKEY)\w*): (.*)")
    assert [name for name, value in secret.findall(COMPOSE.read_text()) if not value.startswith("${")] == []


def test_each_service_has_limits_and_says_when_it_is_well(services: dict[str, Any]) -> None:
    assert services.keys() == {
        "kafka",
        "topics",
        "elasticsearch",
        "kibana",
        "bootstrap",
        "vector-collect",
        "vector-store",
    }
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= limits.keys(), name
        assert ("healthcheck" in service) is (name not in ONCE), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")


def test_nothing_is_reached_from_another_machine(services: dict[str, Any]) -> None:
    ports = {name: [port["host_ip"] for port in service.get("ports", [])] for name, service in services.items()}
    assert {name for name, hosts in ports.items() if hosts} == {"elasticsearch", "kibana"}
    assert {host for hosts in ports.values() for host in hosts} == {"127.0.0.1"}
    assert services["kafka"]["networks"].keys() == services["vector-collect"]["networks"].keys() == {"logs"}


def test_everything_that_is_mounted_is_there(services: dict[str, Any]) -> None:
    tracked = {str(path) for path in tracked_files()}
    for name, service in services.items():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind" and mount["source"] != "/var/run/docker.sock":
                assert any(path.startswith(mount["source"] + "/") for path in tracked), (name, mount)
                assert mount["read_only"]


def test_vector_starts_after_its_topics_and_stores_only_by_templates(services: dict[str, Any]) -> None:
    ended = "service_completed_successfully"
    waits = {
        name: {on: how["condition"] for on, how in one.get("depends_on", {}).items()} for name, one in services.items()
    }
    assert waits["vector-collect"] == {"topics": ended}
    assert waits["vector-store"] == {"topics": ended, "bootstrap": ended}
    assert waits["topics"] == {"kafka": "service_healthy"}
    assert waits["bootstrap"] == {"elasticsearch": "service_healthy"}, (
        "Kibana waits for it, so it cannot wait for Kibana"
    )


@pytest.mark.parametrize("name", ["collect", "store"])
def test_vector_finds_its_files_and_every_variable(name: str, services: dict[str, Any]) -> None:
    service = services[f"vector-{name}"]
    mounts = {mount["target"]: mount.get("source") for mount in service["volumes"]}
    topology = Topology(f"{name}.yaml")
    assert service["command"] == ["--config", f"/etc/vector/{name}.yaml"]
    for transform in topology.transforms.values():
        assert (Path(mounts["/etc/vector"]) / Path(transform["file"]).relative_to("/etc/vector")).is_file()
    assert topology.config["data_dir"] in mounts
    asked = set(re.findall(r"\$\{(\w+)", topology.text))
    assert asked <= service["environment"].keys()
    for one in topology.config["sources"].values():
        for path in one.get("include", []):
            assert str(Path(path).parent) in mounts
    assert topology.config["api"]["address"] in service["healthcheck"]["test"][-1]


def test_prometheus_asks_each_vector_for_its_figures_and_for_those_that_alerts_need(services: dict[str, Any]) -> None:
    (asked,) = yaml.safe_load((ROOT / "ops/prometheus/targets/logs.yaml").read_text())
    told = {}
    for name in services:
        if name.startswith("vector-"):
            config = yaml.safe_load((ROOT / f"ops/vector/{name.removeprefix('vector-')}.yaml").read_text())
            told[name] = f"{name}:{config['sinks']['figures']['address'].rpartition(':')[2]}"
            sources = [one for one in config["sources"].values() if one["type"] == "kafka"]
            assert all(one["metrics"]["topic_lag_metric"] for one in sources), "else nobody is told that it is behind"
    assert sorted(asked["targets"]) == sorted(told.values())
    assert len(told) == 2


def test_kafka_is_its_own_controller_and_there_is_no_zookeeper(services: dict[str, Any]) -> None:
    told = services["kafka"]["environment"]
    assert "zookeeper" not in json.dumps(services).lower()
    assert told["KAFKA_PROCESS_ROLES"] == "broker,controller"
    listeners = dict(one.split("://") for one in told["KAFKA_LISTENERS"].split(","))
    advertised = dict(one.split("://") for one in told["KAFKA_ADVERTISED_LISTENERS"].split(","))
    protocols = dict(one.split(":") for one in told["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    controller = told["KAFKA_CONTROLLER_LISTENER_NAMES"]
    assert protocols.keys() == listeners.keys() == {controller, told["KAFKA_INTER_BROKER_LISTENER_NAME"]}
    assert controller not in advertised
    assert told["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{told['KAFKA_NODE_ID']}@kafka{listeners[controller]}"
    assert len(told["CLUSTER_ID"]) == 22
    clients = {
        services[name]["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
        for name in ("topics", "vector-collect", "vector-store")
    }
    assert clients == set(advertised.values())


def test_every_topic_that_vector_writes_or_reads_is_made_and_made_again_without_harm(tmp_path: Path) -> None:
    kafka = stubs(tmp_path, {"kafka-topics.sh": "", "kafka-configs.sh": ""})
    calls = []
    for _ in range(2):
        done = subprocess.run(["sh", TOPICS], env=kafka, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        calls.append((tmp_path / "calls").read_text().splitlines())
        (tmp_path / "calls").unlink()
    assert calls[0] == calls[1]
    made = {call.split("--topic ")[1].split()[0] for call in calls[0] if "--create --if-not-exists" in call}
    written = {sink["topic"] for sink in Topology("collect.yaml").sinks.values() if "topic" in sink}
    read = {topic for one in Topology("store.yaml").config["sources"].values() for topic in one.get("topics", [])}
    assert made == written == read
    assert "gateway-logs" in made
    kept = [call for call in calls[0] if "--entity-name gateway-logs --add-config retention.ms=259200000," in call]
    assert len(kept) == 1


def test_a_topic_that_cannot_be_made_ends_it(tmp_path: Path) -> None:
    kafka = stubs(tmp_path, {"kafka-topics.sh": "exit 3", "kafka-configs.sh": ""})
    assert subprocess.run(["sh", TOPICS], env=kafka, capture_output=True, check=False).returncode == 3


def test_images_are_pinned_by_what_the_registry_says_and_stay_so(tmp_path: Path) -> None:
    copies = tmp_path / "compose"
    copies.mkdir()
    for path in (IMAGES, PIN):
        (copies / path.name).write_bytes(path.read_bytes())
    digest = "sha256:" + "7" * 64
    docker = stubs(tmp_path, {"docker": f"echo {digest}"})
    for _ in range(2):
        subprocess.run(["sh", copies / PIN.name], env=docker, check=True, capture_output=True)
        pinned = (copies / "images.env").read_text()
        assert without_digests(pinned) == without_digests(IMAGES.read_text())
        assert pinned.count(digest) == len(re.findall(r"(?m)^\w+=", pinned)) == 11
    broken = stubs(tmp_path, {"docker": "echo nothing"})
    failed = subprocess.run(["sh", copies / PIN.name], env=broken, check=False, capture_output=True, text=True)
    assert (failed.returncode, (copies / "images.env").read_text()) == (1, pinned)
    assert "no digest of docker.io/apache/kafka:" in failed.stderr


def without_digests(text: str) -> str:
    return re.sub(r"(?m)@sha256:[0-9a-f]{64}$", "", text)


def stubs(folder: Path, programs: Mapping[str, str]) -> dict[str, str]:
    """An environment in which each program writes down how it was called, and does what is given."""
    for name, body in programs.items():
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder}/calls"\n{body}\n')
        path.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
