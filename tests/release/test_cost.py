"""`nexus cost`: by a real Prometheus, or by main's plans and a real audit log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nexus_gateway.telemetry.audit import AuditLog
from nexus_release.cli import nexus
from nexus_release.names import service_name
from nexus_release.plan import admitted

from ..support import audit
from ..support.prometheus_history import PrometheusHistory, sample
from ..support.releases import make_pointer, make_record
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT

MODEL = "pydoc-chat"
RELEASE = make_pointer(make_record(MODEL, 1)).release
POD = f"{service_name(MODEL, RELEASE)}-predictor-7d9f8-abcde"
BEGIN = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
WINDOW = ("--from", "2026-11-01T00:00:00Z", "--to", "2026-11-01T02:00:00Z")
GIB = 1 << 30


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    remote = Remote(tmp_path_factory.mktemp("cost"), plant_house)
    pointer = remote.record(make_record(MODEL, 1))
    remote.plan(admitted(None, MODEL, pointer), "one", "dev")
    remote.plan(admitted(None, MODEL, pointer), "one")
    return remote


def held(pod: str, first: int, last: int, *, scheduled: int = 1, container: str = "kserve-container") -> Iterator[str]:
    """One GPU, 4 cores and 32 GiB in each minute of an interval."""
    where = {"namespace": "nexus-dev", "pod": pod}
    for minute in range(first, last + 1):
        at = BEGIN + 60 * minute
        for resource, value in (("nvidia_com_gpu", 1), ("cpu", 4), ("memory", 32 * GIB)):
            labels = {**where, "container": container, "resource": resource}
            yield sample("kube_pod_container_resource_requests", labels, value, at)
        if container == "kserve-container":
            yield sample("kube_pod_status_scheduled", {**where, "condition": "true"}, scheduled, at)


def counted(tenant: str, minutes: range, tokens: int, kind: str = "prompt") -> Iterator[str]:
    labels = {"namespace": "nexus-dev", "instance": "g", "tenant": tenant, "route": MODEL, "release": RELEASE}
    for minute in minutes:
        yield sample("gateway_tenant_tokens_total", {**labels, "kind": kind}, tokens, BEGIN + 60 * minute)


def ended(pod: str, first: int, last: int) -> Iterator[str]:
    labels = {"namespace": "nexus-dev", "pod": pod, "phase": "Succeeded"}
    for minute in range(first, last + 1):
        yield sample("kube_pod_status_phase", labels, 1, BEGIN + 60 * minute)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusHistory]:
    """An hour of one pod, of which the gateway served x in the second quarter and y in the third and fourth; then it
    has ended, and is still known."""
    history = [
        *held(POD, 1, 70),
        *ended(POD, 61, 70),
        *held(POD, 1, 60, container="queue-proxy"),
        *held("waits-predictor-1", 1, 60, scheduled=0),
        *held("stranger-predictor-1", 31, 45),
        *ended("stranger-predictor-1", 46, 52),
        *counted("x", range(20, 121), 300),
        *counted("x", range(20, 121), 100, "completion"),
        *counted("y", range(-10, 35), 1000),
        *counted("y", range(35, 50), 1500),
        *counted("y", range(50, 121), 200),
    ]
    server = PrometheusHistory(tmp_path_factory.mktemp("prometheus"), history).start()
    yield server
    server.stop()


def cost(remote: Remote, *words: str, environment: str = "dev") -> Result:
    where = ["--env", environment, "--remote", str(remote.path), "--root", str(ROOT)]
    return CliRunner().invoke(nexus, ["cost", *where, *words])


def by_tenant(release: dict[str, object]) -> dict[str, Decimal]:
    found = {one["tenant"]: Decimal(one["cost"]) for one in release["tenants"]}  # type: ignore[attr-defined]
    return {**found, "": Decimal(str(release["idle"]))}


def test_a_release_costs_what_its_pods_held_and_its_tenants_share_it(
    remote: Remote, prometheus: PrometheusHistory
) -> None:
    done = cost(remote, *WINDOW, "--prometheus", prometheus.url, "--format", "json")
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    ours = next(one for one in found["releases"] if one["model"] == MODEL)
    quarter = Decimal(ours["allocated"]) / 4
    assert ours["gpu_hours"] == "1.0000"
    assert by_tenant(ours) == {"x": quarter, "y": 2 * quarter, "": quarter}
    tokens = {one["tenant"]: (one["prompt"], one["completion"]) for one in ours["tenants"]}
    assert tokens == {"x": (300, 100), "y": (500 + 200, 0)}, "what is there before the window, or after a restart"
    assert sum(by_tenant(ours).values()) == Decimal(ours["allocated"])


def test_a_pod_that_no_record_names_is_paid_for_and_told(remote: Remote, prometheus: PrometheusHistory) -> None:
    found = json.loads(cost(remote, *WINDOW, "--prometheus", prometheus.url, "--format", "json").stdout)
    (other,) = (one for one in found["releases"] if one["model"] != MODEL)
    assert (other["model"], other["release"], other["gpu_hours"]) == ("(not in Git)", "stranger", "0.2500")
    assert other["idle"] == other["allocated"] > "0"


def test_how_much_of_the_time_was_known_is_told(remote: Remote, prometheus: PrometheusHistory) -> None:
    text = cost(remote, *WINDOW, "--prometheus", prometheus.url).output
    assert re.search(r"kube-state-metrics, 7[45] of 120 minutes known", text), "70, and those in which it is remembered"


def test_where_prometheus_knows_nothing_no_cost_is_told(remote: Remote, prometheus: PrometheusHistory) -> None:
    done = cost(remote, *WINDOW, "--prometheus", prometheus.url, environment="prod")
    assert (done.exit_code, done.output) == (1, "")
    assert "Prometheus knew no pod of the namespace nexus in that time" in str(done.exception)


def test_a_prometheus_that_does_not_answer_is_told_apart_from_one_that_knows_nothing(remote: Remote) -> None:
    done = cost(remote, *WINDOW, "--prometheus", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert "Prometheus at 127.0.0.1: ConnectError" in str(done.exception)


def test_without_a_source_of_tokens_nothing_is_guessed(remote: Remote) -> None:
    done = cost(remote, *WINDOW)
    assert "give its address, or the folder of an audit log" in str(done.exception)


def test_on_a_laptop_plans_and_the_audit_log_tell_it(remote: Remote, tmp_path: Path) -> None:
    """A laptop has no GPU: one core and one GiB, from the commit that brought the plan on."""
    log = AuditLog(tmp_path / "audit", audit.SALT, "gateway-0")
    log.start()
    log.write(audit.record(1, key_id="team-a", release=RELEASE, prompt_tokens=30, completion_tokens=10), MODEL)
    log.write(audit.record(2, key_id="team-b", release=RELEASE, prompt_tokens=30, completion_tokens=10), MODEL)
    log.write(audit.record(3, **audit.REFUSED), MODEL)
    log.stop()
    end = datetime.now(UTC) + timedelta(minutes=30)
    words = ("--to", end.isoformat(timespec="seconds"), "--hours", "2", "--slot-minutes", "60")
    done = cost(remote, *words, "--audit", str(tmp_path / "audit"), "--format", "json", environment="local")
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    (release,) = found["releases"]
    assert (release["release"], release["gpu_hours"]) == (RELEASE, "0.0000")
    assert found["sources"][1].startswith("tokens: the audit log, 0 lines could not be read")
    assert [(one["prompt"], one["completion"]) for one in release["tenants"]] == [(30, 10), (30, 10)]
    assert sum(by_tenant(release).values()) == Decimal(release["allocated"]) > 0


def test_a_folder_without_an_audit_log_is_missing(remote: Remote, tmp_path: Path) -> None:
    end = (datetime.now(UTC) + timedelta(minutes=30)).isoformat(timespec="seconds")
    done = cost(remote, "--to", end, "--audit", str(tmp_path), environment="local")
    assert "no audit log there" in str(done.exception)
