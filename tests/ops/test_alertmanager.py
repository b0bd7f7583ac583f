"""Alertmanager takes its configuration, sends each alert to whom it should, and a test alert arrives everywhere."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from nexus_release.config import load_settings
from nexus_release.local.free_ports import free_port
from nexus_release.watching.groups import groups
from nexus_release.watching.watchdog import WATCHDOG

from ..support.alert_sink import AlertSink
from ..support.alertmanager_server import CONFIG, Alertmanager, alertmanager_program
from ..support.followed import BESIDE
from ..support.gateway import PLAIN, until
from ..support.prometheus_history import promtool
from ..support.repository import ROOT
from ..support.typed_page import typed
from ..support.web import Reply, serve

GROUPS = groups("local", load_settings(ROOT, "local"))
TEST_ALERT = ROOT / "ops" / "alerts" / "test-alert"
pytestmark = pytest.mark.services


def amtool(*words: str) -> subprocess.CompletedProcess[str]:
    alertmanager_program()
    return subprocess.run(["amtool", *words], cwd=CONFIG, capture_output=True, text=True)


def test_its_configuration_is_taken_and_a_slip_is_not(tmp_path: Path) -> None:
    assert amtool("check-config", "alertmanager.yml").returncode == 0
    slip = tmp_path / "alertmanager.yml"
    slip.write_text((CONFIG / "alertmanager.yml").read_text().replace("receiver: team", "receiver: teem"))
    assert amtool("check-config", str(slip)).returncode != 0


def test_prometheus_takes_its_configuration_with_the_rules() -> None:
    done = subprocess.run(
        [promtool(), "check", "config", "prometheus.yml"], cwd=ROOT / "ops/prometheus", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    scraped = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert {"nexus-gateway", "nexus-engines"} <= {job["job_name"] for job in scraped}


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=NexusGatewayDown severity=critical", "on-call"),
        ("alertname=NexusKvCacheFull severity=warning", "team"),
        ("alertname=NexusTestAlert severity=warning", "on-call"),
        ("alertname=NexusWatchdog severity=none", "dead-mans-switch"),
    ],
)
def test_an_alert_goes_to_whom_it_should(labels: str, receiver: str) -> None:
    done = amtool("config", "routes", "test", "--config.file=alertmanager.yml", *labels.split())
    assert done.stdout.strip() == receiver, done.stderr


def test_inhibitions_name_alerts_that_there_are() -> None:
    names = {alert.name for group in GROUPS.values() for alert in group.alerts}
    text = yaml.safe_load((CONFIG / "alertmanager.yml").read_text())["inhibit_rules"]
    asked = re.findall(r'alertname =(~?) "([^"]+)"', str(text))
    assert asked
    for how, name in asked:
        assert any(re.fullmatch(name, one) for one in names) if how else name in names, name


def test_no_secret_stands_in_the_configuration() -> None:
    text = (CONFIG / "alertmanager.yml").read_text()
    assert not re.search(r"hooks\.slack|api_url:|password:|credentials:", text)
    assert re.findall(r"_file: (\S+?)\}?$", text, re.MULTILINE) == [
        "/etc/alertmanager/secrets/smtp-password",
        "/etc/alertmanager/secrets/slack-url",
        "/etc/alertmanager/secrets/webhook-token",
    ]


@pytest.fixture(scope="module")
def sink() -> Iterator[AlertSink]:
    one = AlertSink()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def alertmanager(sink: AlertSink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    alertmanager_program()
    one = Alertmanager(tmp_path_factory.mktemp("alertmanager"), sink)
    yield one
    one.stop()


def send(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TEST_ALERT, *words], capture_output=True, text=True)


def test_a_test_alert_arrives_by_slack_by_mail_and_at_the_pager(alertmanager: Alertmanager, sink: AlertSink) -> None:
    done = send(alertmanager.url, "--environment", "prod")
    assert done.returncode == 0, done.stderr + alertmanager.log.read_text()
    assert sorted(done.stdout.splitlines()) == ["email: taken", "slack: taken", "webhook: taken"]
    (slack,), (mail,), (alert,) = sink.slack, sink.mails, sink.alerts()
    said = slack["attachments"][0]
    assert said["title"].startswith("[FIRING 1] NexusTestAlert prod")
    assert "This is a test. Nothing is wrong." in said["text"]
    assert "NexusTestAlert prod" in mail
    assert alert["labels"]["environment"] == "prod"


@pytest.mark.parametrize(
    ("counted", "seconds", "missing"),
    [(["1 0", "1 1"], 1, {"webhook"}), (["1 0", "1 1", "2 1"], 60, set()), (["1 0"], 60, set())],
)
def test_a_call_whose_failure_is_counted_a_moment_later_was_not_taken(
    counted: list[str], seconds: float, missing: set[str]
) -> None:
    """Calls and failures at each look; the last stays."""
    test_alert = runpy.run_path(str(TEST_ALERT))
    looks = iter(counted)

    def metrics(_: str) -> Reply:
        made, failed = next(looks, counted[-1]).split()
        kind = 'integration="webhook"'
        told = f"{test_alert['CALLS']}{{{kind}}} {made}\n{test_alert['FAILED']}{{{kind}}} {failed}\n"
        return Reply(told.encode())

    with serve(metrics) as web:
        assert set(test_alert["waited"](web.url, {}, ["webhook"], seconds)) == missing


def test_who_has_not_got_it_is_said(alertmanager: Alertmanager, sink: AlertSink) -> None:
    sink.refuses = {"/webhook"}
    done = send(alertmanager.url, "--kinds", "webhook", "--seconds", "1")
    sink.refuses = set()
    assert done.returncode == 1
    assert "webhook has not got it: " in done.stderr


@pytest.fixture
def watched(alertmanager: Alertmanager, sink: AlertSink) -> None:
    labels = {"alertname": WATCHDOG, "environment": "prod", "severity": "none"}
    known = f"{alertmanager.url}/api/v2/alerts"
    assert httpx.post(known, json=[{"labels": labels}], verify=PLAIN).status_code == 200
    _rings_again(sink)


def _rings_again(sink: AlertSink) -> None:
    heard = len(sink.alive)
    until(lambda: len(sink.alive) > heard, "the watchdog is heard", 60)


@pytest.mark.usefixtures("watched")
def test_the_watchdog_is_heard_again_and_again_but_while_a_test_is_on(
    alertmanager: Alertmanager, sink: AlertSink
) -> None:
    _rings_again(sink)
    assert send(alertmanager.url, "--kinds", "webhook").returncode == 0
    _rings_again(sink)
    assert {alert["labels"]["alertname"] for message in sink.alive for alert in message["alerts"]} == {WATCHDOG}


@pytest.mark.usefixtures("watched")
def test_a_call_of_the_watchdog_that_is_under_way_stands_for_no_test_alert(
    alertmanager: Alertmanager, sink: AlertSink
) -> None:
    sink.refuses = {"/webhook"}
    sink.answers.clear()
    _rings_again(sink)
    words = [TEST_ALERT, alertmanager.url, "--kinds", "webhook", "--seconds", "12", "--still", "6"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as test:
        until(lambda: _silences(alertmanager), "the watchdog is silenced", 60)
        sink.answers.set()
        said, _ = test.communicate()
    sink.refuses = set()
    assert (test.returncode, said) == (1, ""), "its calls are a webhook's too"


def _silences(alertmanager: Alertmanager) -> bool:
    found = httpx.get(f"{alertmanager.url}/api/v2/silences", verify=PLAIN).json()
    return any(one["status"]["state"] == "active" for one in found)


def test_without_a_gateway_what_others_tell_is_still_heard_and_what_gateways_told_last_is_not(
    alertmanager: Alertmanager,
) -> None:
    gateways_own = {alert.name for name in ("gateway", "slo", "canary") for alert in GROUPS[name].alerts}
    others = {alert.name for name in ("engines", "costs", "logs", "watchdog") for alert in GROUPS[name].alerts}
    known = f"{alertmanager.url}/api/v2/alerts"
    named = {"environment": "dark", "severity": "warning"}
    told = [{"labels": {"alertname": name, **named}} for name in {*gateways_own, *others, "NexusTestAlert"}]
    assert httpx.post(known, json=told, verify=PLAIN).status_code == 200

    def hushed() -> set[str]:
        found = httpx.get(known, params={"filter": 'environment="dark"'}, verify=PLAIN).json()
        dark = next(one["fingerprint"] for one in found if one["labels"]["alertname"] == "NexusGatewayDown")
        return {one["labels"]["alertname"] for one in found if dark in one["status"]["inhibitedBy"]}

    until(lambda: "NexusGatewayErrors" in hushed(), "the gateway's absence hushes others", 60)
    assert hushed() == gateways_own - {"NexusGatewayDown"}


@pytest.mark.parametrize("page", BESIDE["tests/ops/test_alertmanager.py"])
def test_what_a_page_says_to_type_sends_an_alert_to_everybody(
    page: str, alertmanager: Alertmanager, tmp_path: Path
) -> None:
    (tmp_path / "ops").symlink_to(ROOT / "ops")
    (tmp_path / "etc").mkdir()
    here = {"http://127.0.0.1:9093": alertmanager.url, "/etc/alertmanager/": f"{tmp_path}/etc/"}
    typed(__file__, page, here, tmp_path)
    copied = {path.name for path in (tmp_path / "etc").iterdir()}
    assert copied == ({"alertmanager.yml", "templates"} if "observe" in page else set())


def test_without_an_alertmanager_it_says_so() -> None:
    done = send(f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 2
    assert "no Alertmanager at http://127.0.0.1:" in done.stderr
