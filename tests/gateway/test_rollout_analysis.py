"""How Argo Rollouts judges a new gateway: its queries, asked of a real Prometheus that scrapes real gateways."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.gateway import Gateway, direct, until, write_routes
from ..support.prometheus_server import Prometheus, prometheus_program
from ..support.repository import ROOT
from ..support.worker import Worker

ANALYSIS = ROOT / "gitops" / "components" / "gateway-analysis"
NEW, OLD = "7d4b9c6f5d", "5c8f7b6d44"  # pod-template-hashes
GOOD = direct("chat", "mock://local")
BAD = direct("chat", "mock://fail")
OTHER = {**GOOD, "policies": {"team-a": {"models": ["chat"]}}}
REFUSED = {"routes": {"chat": {"strategy": "nonsense"}}}
pytestmark = pytest.mark.services


@dataclass(frozen=True)
class Metric:
    query: str
    success: str
    failure: str | None

    def verdict(self, prometheus: Prometheus) -> str:
        """What Argo Rollouts would say of one measurement."""
        values = prometheus.query(self.query)
        assert len(values) == 1, f"Argo Rollouts takes an empty answer, or several values, for an error: {values}"
        succeeded = holds(self.success, values[0])
        failed = holds(self.failure, values[0]) if self.failure else not succeeded
        return "Successful" if succeeded else "Failed" if failed else "Inconclusive"


def holds(condition: str, value: float) -> bool:
    found = re.fullmatch(r"result\[0\] (==|>=|<=|<|>) ([0-9.]+)", condition)
    assert found, f"not understood: {condition}"
    bound = float(found[2])
    return {
        "==": value == bound,
        ">=": value >= bound,
        "<=": value <= bound,
        "<": value < bound,
        ">": value > bound,
    }[found[1]]


def metrics() -> dict[str, Metric]:
    """Name -> metric of every AnalysisTemplate, with its arguments filled in."""
    found = {}
    given = {"namespace": "nexus", "new": NEW}
    for path in (ANALYSIS / "configuration.yaml", ANALYSIS / "requests.yaml"):
        for metric in yaml.safe_load(path.read_text())["spec"]["metrics"]:
            query = metric["provider"]["prometheus"]["query"]
            filled = re.sub(r"\{\{args\.(\w+)\}\}", lambda match: given[match[1]], query)
            found[metric["name"]] = Metric(filled, metric["successCondition"], metric.get("failureCondition"))
    return found


@contextmanager
def gateways(folder: Path, **documents: dict[str, Any]) -> Iterator[tuple[dict[str, Gateway], Prometheus]]:
    """A gateway of the new pods and one of the old, each with the routes that it is given."""
    prometheus_program()
    running: dict[str, Gateway] = {}
    for name, document in documents.items():
        (folder / name).mkdir()
        routes = write_routes(folder / name / "routes.d", {"chat": document})
        running[name] = Gateway(folder / name, "--routes", str(routes)).wait()
    targets = {running["new"].port: labels(NEW), running["old"].port: labels(OLD)}
    prometheus = Prometheus(folder, targets)
    try:
        yield running, prometheus
    finally:
        prometheus.stop()
        for gateway in running.values():
            gateway.stop()


def labels(pod_hash: str) -> dict[str, str]:
    """As the operator's ServiceMonitor gives them."""
    return {"job": "nexus-gateway", "namespace": "nexus", "pod": f"nexus-gateway-{pod_hash}-x2k9p"}


def loaded(running: dict[str, Gateway], prometheus: Prometheus) -> None:
    """Asks both, until enough requests of each have been scraped."""
    counted = metrics()["enough-requests"].query

    def enough() -> bool:
        with ThreadPoolExecutor(4) as at_once:
            list(at_once.map(lambda gateway: gateway.ask(), [*running.values()] * 12))
        return all(prometheus.query(counted.replace(NEW, each))[0] >= 50 for each in (NEW, OLD))

    until(enough, "requests are scraped", 120)


def verdicts(prometheus: Prometheus) -> dict[str, str]:
    return {name: metric.verdict(prometheus) for name, metric in metrics().items()}


def test_new_pods_that_do_as_well_as_the_old_ones_are_taken_when_enough_have_asked_them(tmp_path: Path) -> None:
    with gateways(tmp_path, new=GOOD, old=GOOD) as (running, prometheus):
        until(lambda: prometheus.query("count(up == 1)") == [2.0], "both are scraped")
        nobody_asked = verdicts(prometheus)
        assert nobody_asked["enough-requests"] == nobody_asked["first-token"] == "Inconclusive"
        assert math.isnan(prometheus.query(metrics()["first-token"].query)[0])
        loaded(running, prometheus)
        assert verdicts(prometheus) == dict.fromkeys(metrics(), "Successful")


def test_new_pods_with_errors_of_their_own_are_refused(tmp_path: Path) -> None:
    with gateways(tmp_path, new=BAD, old=GOOD) as (running, prometheus):
        loaded(running, prometheus)
        assert metrics()["more-errors"].verdict(prometheus) == "Failed"


def test_an_engine_that_is_ill_for_both_is_no_fault_of_the_new_pods(tmp_path: Path) -> None:
    with gateways(tmp_path, new=BAD, old=BAD) as (running, prometheus):
        loaded(running, prometheus)
        assert metrics()["more-errors"].verdict(prometheus) == "Successful"


def test_new_pods_that_serve_another_revision_or_refuse_what_git_says_are_refused(tmp_path: Path) -> None:
    with gateways(tmp_path, new=OTHER, old=GOOD) as (_, prometheus):
        revision, taken = metrics()["one-revision"], metrics()["configuration-taken"]
        until(lambda: prometheus.query(revision.query) == [2.0], "both are scraped")
        assert revision.verdict(prometheus) == "Failed"
        assert taken.verdict(prometheus) == "Successful"
        write_routes(tmp_path / "new" / "routes.d", {"chat": REFUSED})
        until(lambda: taken.verdict(prometheus) == "Failed", "the refusal is scraped")


def test_a_new_pod_that_nobody_scrapes_is_refused(tmp_path: Path) -> None:
    prometheus_program()
    nobody = Prometheus(tmp_path, {})
    try:
        assert metrics()["configuration-taken"].verdict(nobody) == "Failed"
        assert metrics()["one-revision"].verdict(nobody) == "Failed"
    finally:
        nobody.stop()


def test_new_pods_whose_first_token_is_late_are_refused(tmp_path: Path) -> None:
    with (
        Worker("--engine", "mock", "--served-model-name", "chat", "--ttft-ms", "1") as quick,
        Worker("--engine", "mock", "--served-model-name", "chat", "--ttft-ms", "1000") as slow,
        gateways(tmp_path, new=direct("chat", slow.url), old=direct("chat", quick.url)) as (running, prometheus),
    ):
        loaded(running, prometheus)
        assert metrics()["first-token"].verdict(prometheus) == "Failed"
        assert metrics()["more-errors"].verdict(prometheus) == "Successful"
