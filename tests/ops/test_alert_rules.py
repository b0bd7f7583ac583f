"""Every alert rings when it should and is silent when not, by promtool; and what it says leads on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_gateway.telemetry.families import FIRST_BYTE, page
from nexus_release.config import load_settings
from nexus_release.manifests.watching import watching
from nexus_release.watching.gateway_alerts import MOST_IN_FLIGHT
from nexus_release.watching.groups import groups
from nexus_release.watching.rules import Alert, Record
from nexus_release.watching.settings import BOUNDS
from nexus_release.watching.slo_alerts import BURNS, factor
from nexus_release.watching.watchdog import WATCHDOG

from ..support.cluster_settings import settings_of
from ..support.prometheus_history import promtool
from ..support.repository import ROOT

FOLDER = ROOT / "ops" / "prometheus"
TESTS = sorted(path.name for path in (FOLDER / "tests").glob("*.yaml"))
GROUPS = groups("local", load_settings(ROOT, "local"))
ALERTS = [alert for group in GROUPS.values() for alert in group.alerts]
RULES = [rule for group in GROUPS.values() for rule in group.rules]


def key(name: str, window: str = "") -> str:
    return f"{name} {window}".strip()


EVERY = sorted(key(alert.name, alert.labels.get("window", "")) for alert in ALERTS)


def labels_of_cases() -> dict[str, set[str]]:
    """Alert -> the labels with which it rings in any case."""
    found: dict[str, set[str]] = {}
    for name in TESTS:
        for case in yaml.safe_load((FOLDER / "tests" / name).read_text())["tests"]:
            told = [one["labels"] for look in case["promql_expr_test"] for one in look["exp_samples"]]
            for labels in (dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in told):
                found.setdefault(key(labels.get("alertname", ""), labels.get("window", "")), set()).update(labels)
    return found


LABELS = labels_of_cases()


def promtool_test(folder: Path) -> subprocess.CompletedProcess[str]:
    """All test files by one process."""
    return subprocess.run([promtool(), "test", "rules", *TESTS], cwd=folder / "tests", capture_output=True, text=True)


SILENT, RINGING = r"exp: nil\s+got: (?!nil)", r"exp: (?!nil)[^\n]*\s+got: nil"
"""How promtool tells of a look that should have found nothing, or something."""


def failed(output: str, how: str) -> list[str]:
    """The alerts of looks that failed so, each once."""
    asked = r'expr: "ALERTS\{alertname=\\"(\w+)\\",alertstate=\\"firing\\"(?:,window=\\"(\w+)\\")?\}", time: [\w.]+,\s+'
    return sorted({key(*one) for one in re.findall(asked + how, output)})


def rewritten(folder: Path, expression: str) -> Path:
    """A copy in which every alert asks that, and nothing is recorded."""
    shutil.copytree(FOLDER / "tests", folder / "tests")
    (folder / "rules").mkdir()
    for path in (FOLDER / "rules").glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            group["rules"] = [{**rule, "expr": expression, "for": "0s"} for rule in group["rules"] if "alert" in rule]
        (folder / "rules" / path.name).write_text(yaml.safe_dump(document))
    return folder


def test_each_alert_rings_and_is_silent_as_its_cases_say() -> None:
    done = promtool_test(FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_in_which_it_must_be_silent(tmp_path: Path) -> None:
    """Where all ring always, a case of each fails."""
    done = promtool_test(rewritten(tmp_path, "vector(1)"))
    assert failed(done.stdout + done.stderr, SILENT) == [name for name in EVERY if name != WATCHDOG]


def test_each_alert_has_a_case_in_which_it_must_ring(tmp_path: Path) -> None:
    """Where none ever rings, a case of each fails."""
    done = promtool_test(rewritten(tmp_path, "vector(1) > 1"))
    assert failed(done.stdout + done.stderr, RINGING) == EVERY


def test_prometheus_takes_every_rule() -> None:
    files = sorted(path.name for path in (FOLDER / "rules").glob("*.yaml"))
    assert files == sorted(f"{name}.yaml" for name in GROUPS)
    done = subprocess.run([promtool(), "check", "rules", *files], cwd=FOLDER / "rules", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_an_alert_with_a_revision_rings_between_two_steps_of_a_canary(environment: str) -> None:
    """Each step is a new revision, with which every `for` begins anew."""
    settings = load_settings(ROOT, environment)
    alerts = [alert for group in groups(environment, settings).values() for alert in group.alerts]
    waits = {alert.name: alert.lasting for alert in alerts if "revision" in alert.about}
    assert len(waits) > 10
    most = settings.canary.step_seconds / 2
    late = {name: wait for name, wait in waits.items() if int(wait[:-1]) * {"m": 60, "h": 3600}[wait[-1]] > most}
    assert late == {}


def test_every_family_of_the_gateway_s_is_one_that_it_has() -> None:
    known = set(re.findall(r"`(gateway_[a-z_]+)`", page()))
    asked = {name for rule in RULES for name in re.findall(r"(?<![:\w])gateway_[a-z_]+(?=\{)", rule.expression)}
    assert len(asked) > 15
    assert {re.sub("_(bucket|count)$", "", name) for name in asked} - known == set()


def test_what_is_asked_of_records_is_recorded_before() -> None:
    for group in GROUPS.values():
        seen = {record.name for record in GROUPS["gateway"].records}
        for rule in group.rules:
            asked = set(re.findall(r"\bnexus:\w+(?::\w+)?", rule.expression))
            assert asked <= seen | {"nexus:environment_budget_monthly", "nexus:model_budget_monthly"}, rule.name
            if isinstance(rule, Record):
                seen.add(rule.name)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: key(alert.name, alert.labels.get("window", "")))
def test_what_an_alert_says_names_labels_that_it_has(alert: Alert) -> None:
    has = {"environment", "namespace", "severity", *alert.about, *alert.labels}
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description)) <= has
    seen = LABELS[key(alert.name, alert.labels.get("window", ""))] - {"alertname", "alertstate"}
    assert set(alert.about) - {"pod"} <= seen <= has, "as its cases have them; pods have no part in them"
    assert alert.summary.endswith(".")
    assert alert.description.count(". ") <= 1, "one sentence"


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_operator_gets_the_same_rules_of_each_environment_s_own_settings(environment: str) -> None:
    settings = settings_of(environment)
    objects: dict[str, Any] = watching(environment, settings)
    assert sorted(objects) == sorted(f"prometheusrule-{name}.yaml" for name in GROUPS)
    for name in GROUPS:
        (group,) = objects[f"prometheusrule-{name}.yaml"]["spec"]["groups"]
        plain = yaml.safe_load((FOLDER / "rules" / f"{name}.yaml").read_text())["groups"][0]
        assert [names(rule) for rule in group["rules"]] == [names(rule) for rule in plain["rules"]]
        for rule in group["rules"]:
            assert f'namespace="{settings.namespace}"' in rule["expr"] or rule["expr"].startswith("vector(")
            assert rule.get("labels", {}).get("environment", environment) == environment


def names(rule: dict[str, Any]) -> tuple[str, list[str]]:
    return rule.get("alert") or rule["record"], sorted(rule)


def test_before_there_are_pods_it_is_no_news_that_none_answers() -> None:
    objects = watching("prod", settings_of("prod", {"gateway": {"image": None}}))
    assert "prometheusrule-gateway.yaml" not in objects
    assert objects


def test_what_is_known_of_the_gateway_is_true() -> None:
    assert set(BOUNDS) <= set(FIRST_BYTE.bounds)
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert f"| `GATEWAY_MAX_IN_FLIGHT` | {MOST_IN_FLIGHT} |" in reference


def test_a_bound_between_two_of_the_histogram_is_refused() -> None:
    with pytest.raises(ValueError, match="the gateway counts by"):
        settings_of("prod", {"alerting": {"objectives": {"first_byte_seconds": 3}}})


def test_rates_are_those_of_the_workbook_and_keep_the_share_of_another_window() -> None:
    assert [factor(burn, 30) for burn in BURNS] == [14.4, 6, 3, 1]
    assert [factor(burn, 7) * burn.hours / (7 * 24) for burn in BURNS] == pytest.approx(
        [0.02, 0.05, 0.1, 0.1], abs=1e-4
    )
