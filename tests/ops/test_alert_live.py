"""An engine dies after a change; a real Prometheus and Alertmanager tell, and the alert leads to the guilty commit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.names import service_name
from nexus_release.plan import admitted, promoted
from nexus_release.revisions import routes_revision

from ..support.alert_sink import AlertSink
from ..support.alertmanager_server import Alertmanager, alertmanager_program
from ..support.canary_walk import MODEL, ONE, TWO
from ..support.gateway import Gateway, until
from ..support.prometheus_server import Prometheus, prometheus_program
from ..support.releases import make_record
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT
from ..support.worker import Worker
from .shortened import FACTOR, TIME, shortened

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]
RULES = ROOT / "ops" / "prometheus" / "rules"
MILLISECONDS = re.compile(r"\b(\d+)ms\b")
WANTED = {"NexusGatewayErrors", "NexusCircuitOpen"}
PATIENCE = 240.0
"""Seconds, of a machine that has much else to do."""


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shortened_rules_are_the_committed_ones_but_for_their_times(path: Path) -> None:
    text = path.read_text()
    short = shortened(text)
    assert TIME.sub("T", text) == MILLISECONDS.sub("T", short)
    times = [FACTOR * int(one) / 1000 for one in MILLISECONDS.findall(short)]
    assert times == [int(one[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[one[-1]] for one in TIME.findall(text)]
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert len(times) >= sum("for" in rule for rule in rules) + 1


def test_an_engine_that_dies_is_told_and_the_alert_leads_to_the_commit_that_brought_it(tmp_path: Path) -> None:
    prometheus_program()
    alertmanager_program()
    remote = Remote(tmp_path, plant_house)
    for seed in (1, 2):
        remote.record(make_record(MODEL, seed))
    first = admitted(None, MODEL, ONE)
    remote.plan(first)
    guilty = remote.plan(promoted(admitted(first, MODEL, TWO), TWO.release, 1), "Promote what will die")
    remote.commit({"NOTES.md": "nothing that the gateway reads"}, "An innocent change")
    with ExitStack() as running:
        sink = AlertSink()
        running.callback(sink.stop)
        engine = running.enter_context(Worker("--engine=mock", f"--served-model-name={MODEL}"))
        gateway = served(remote, engine, tmp_path)
        running.callback(gateway.stop)
        alertmanager = Alertmanager(made(tmp_path / "alertmanager"), sink)
        running.callback(alertmanager.stop)
        prometheus = watched(gateway, alertmanager, tmp_path)
        running.callback(prometheus.stop)
        assert gateway.ask(MODEL).status_code == 200
        until(lambda: prometheus.query("nexus:gateway_revision:newest") == [1.0], "the revision is known", PATIENCE)
        assert not WANTED & told(sink).keys()
        engine.process.kill()
        with asked_on(gateway):
            until(lambda: told(sink).keys() >= WANTED, "two alerts have arrived", PATIENCE)
            arrived = told(sink)
    errors, circuit = arrived["NexusGatewayErrors"], arrived["NexusCircuitOpen"]
    assert errors["labels"]["severity"] == "critical"
    assert errors["labels"]["environment"] == "local"
    assert errors["annotations"]["runbook_url"].endswith("runbook.md#nexusgatewayerrors")
    assert circuit["labels"]["upstream"] == service_name(MODEL, TWO.release)
    found = explained(remote, errors["labels"]["revision"])
    assert found["commit"]["hash"] == guilty
    assert found["commit"]["subject"] == "Promote what will die"
    assert circuit["labels"]["upstream"] in {
        one["service"] for model in found["models"] for one in model["releases"] if one["role"] == "stable"
    }


def served(remote: Remote, engine: Worker, folder: Path) -> Gateway:
    """Main's routes, by a gateway whose engine of the second release is ours."""
    remote.pull()
    routes = folder / "routes"
    routes.mkdir()
    for path in (remote.clone / "gitops/local/gateway/routes.d").iterdir():
        (routes / path.name).write_bytes(path.read_bytes())
    host = f"{service_name(MODEL, TWO.release)}-predictor.nexus.svc.cluster.local:80"
    (folder / "resolve.json").write_text(json.dumps({host: engine.url.removeprefix("http://")}))
    gateway = Gateway(made(folder / "gateway"), "--routes", str(routes), "--resolve", str(folder / "resolve.json"))
    gateway.wait(PATIENCE)
    assert gateway.config()["revision"] == routes_revision({one.name: one.read_bytes() for one in routes.iterdir()})
    return gateway


def watched(gateway: Gateway, alertmanager: Alertmanager, folder: Path) -> Prometheus:
    """By the committed rules, shortened."""
    rules = made(folder / "rules")
    for path in RULES.glob("*.yaml"):
        (rules / path.name).write_text(shortened(path.read_text()))
    labels = {"job": "nexus-gateway", "namespace": "nexus"}
    more: dict[str, Any] = {
        "rule_files": [str(rules / "*.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]},
    }
    return Prometheus(made(folder / "prometheus"), {gateway.port: labels}, more)


def told(sink: AlertSink) -> dict[str, Any]:
    """By name. A machine that is busy for two seconds may tell of a gateway that cannot be scraped, too."""
    return {alert["labels"]["alertname"]: alert for alert in sink.alerts() if alert["status"] == "firing"}


@contextmanager
def asked_on(gateway: Gateway) -> Iterator[None]:
    """Somebody goes on asking meanwhile."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            gateway.ask(MODEL)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()


def explained(remote: Remote, revision: str) -> dict[str, Any]:
    """As who is on call does it."""
    words = [str(Path(sys.executable).parent / "nexus"), "explain", revision, "--env", "local", "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
    done = subprocess.run(words, env={**kept, "NEXUS_REMOTE": str(remote.path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder
