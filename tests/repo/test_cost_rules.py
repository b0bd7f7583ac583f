"""Recording rules and budget alerts of costs: by promtool, and by the rules' own words."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.config import Settings, load_settings
from nexus_release.costs.queries import POD
from nexus_release.manifests.watching import watching
from nexus_release.prices import Prices
from nexus_release.watching.cost_alerts import BY_ENVIRONMENT, BY_RELEASE, BY_TENANT

from ..support.prometheus_history import promtool
from ..support.repository import ROOT

GIB = 1 << 30
ID = "0123abcd" + "0" * 56
SERVICE = "chat-0123abcd"
PRICES: dict[str, Any] = {
    "currency": "EUR",
    "gpu_hour": {"A100-80GB": "2.00"},
    "cpu_core_hour": "0.04",
    "memory_gib_hour": "0.005",
    "token_weights": {"prompt": "1", "cached": "0.1", "completion": "4"},
}
HOURLY = 2 * 2.00 + 4 * 0.04 + 32 * 0.005
"""Of a pod with two GPUs, 4 cores and 32 GiB: 4.32, which is 3153.60 a month."""


def settings(environment: str | None = None, **models: str) -> Settings:
    budgets = {"environment": environment, "models": models}
    return load_settings(ROOT, "dev").model_copy(
        update={"prices": Prices.model_validate({**PRICES, "budgets": budgets})}
    )


def rules(given: Settings) -> dict[str, Any]:
    return watching("dev", given)["prometheusrule-costs.yaml"]["spec"]  # type: ignore[return-value]


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    told = ",".join(f'{label}="{said}"' for label, said in {"namespace": "nexus-dev", **labels}.items())
    return {"series": f"{name}{{{told}}}", "values": values}


def pod(name: str, values: str = "{}x240") -> list[dict[str, str]]:
    held = (("nvidia_com_gpu", 2), ("cpu", 4), ("memory", 32 * GIB))
    container = {"pod": name, "container": "kserve-container"}
    return [
        *(
            series("kube_pod_container_resource_requests", values.format(amount), **container, resource=resource)
            for resource, amount in held
        ),
        series("kube_pod_status_scheduled", values.format(1), pod=name, condition="true"),
        series("kube_pod_status_scheduled", values.format(0), pod=name, condition="false"),
    ]


def hold(given: Settings, folder: Path, inputs: list[dict[str, str]], **tests: Any) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules(given)))
    test = {"interval": "1m", "input_series": inputs, **tests}
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "tests.yaml").write_text(yaml.safe_dump(document))
    subprocess.run([promtool(), "check", "rules", "rules.yaml"], cwd=folder, check=True, capture_output=True)
    done = subprocess.run([promtool(), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def expected(query: str, *samples: tuple[str, float], at: str = "2h") -> dict[str, Any]:
    return {
        "expr": query,
        "eval_time": at,
        "exp_samples": [{"labels": told, "value": value} for told, value in samples],
    }


def alerted(name: str, given: Settings, at: str, fires: bool, **labels: str) -> dict[str, Any]:
    (rule,) = (one for one in rules(given)["groups"][0]["rules"] if one.get("alert") == name)
    told = {"environment": "dev", "namespace": "nexus-dev", "severity": "warning", **labels}
    cost = re.compile(r"costs .+ EUR").sub("costs 3154 EUR", rule["annotations"]["summary"])
    summary = cost.replace("{{ $labels.model }}", labels.get("model", ""))
    fired = [{"exp_labels": told, "exp_annotations": {**rule["annotations"], "summary": summary}}] if fires else []
    return {"alertname": name, "eval_time": at, "exp_alerts": fired}


def test_a_release_costs_what_its_pods_hold(tmp_path: Path) -> None:
    inputs = [
        *pod(f"{SERVICE}-predictor-1"),
        *pod(f"{SERVICE}-predictor-2"),
        *pod("other-ffffffff-predictor-1"),
        series("kube_pod_status_phase", "1x240", pod="other-ffffffff-predictor-1", phase="Failed"),
        series("kube_pod_container_resource_requests", "9x240", pod="a", container="proxy", resource="cpu"),
    ]
    one = f'{BY_RELEASE}{{namespace="nexus-dev", service="{SERVICE}"}}'
    whole = f'{BY_ENVIRONMENT}{{namespace="nexus-dev"}}'
    tests = [expected(BY_RELEASE, (one, 2 * HOURLY)), expected(BY_ENVIRONMENT, (whole, 2 * HOURLY))]
    hold(settings(), tmp_path, inputs, promql_expr_test=tests)


def test_tenants_share_it_by_the_work_of_their_tokens(tmp_path: Path) -> None:
    """x has 100 fresh tokens a minute; y 100 in its answers, which weigh 400."""
    labels = {"release": ID, "route": "chat"}
    inputs = [
        *pod(f"{SERVICE}-predictor-1"),
        series("gateway_tenant_tokens_total", "0+1000x240", tenant="x", kind="prompt", **labels),
        series("gateway_tenant_tokens_total", "0+1000x240", tenant="x", kind="cached", **labels),
        series("gateway_tenant_tokens_total", "0+100x240", tenant="y", kind="completion", **labels),
    ]
    shares = [
        (f'{BY_TENANT}{{namespace="nexus-dev", tenant="{name}"}}', HOURLY * part)
        for name, part in (("x", 0.2), ("y", 0.8))
    ]
    hold(
        settings(),
        tmp_path,
        inputs,
        promql_expr_test=[
            expected(
                f"round({BY_TENANT}, 0.0001)",
                *((told.replace(BY_TENANT, ""), round(value, 4)) for told, value in shares),
            )
        ],
    )


@pytest.mark.parametrize(("budget", "fires"), [("3153", True), ("3154", False)])
def test_a_budget_that_is_exceeded_for_an_hour_is_told(tmp_path: Path, budget: str, fires: bool) -> None:
    given = settings(budget, chat=budget)
    tests = [
        alerted("NexusEnvironmentOverBudget", given, "30m", False),
        alerted("NexusEnvironmentOverBudget", given, "2h", fires),
        alerted("NexusModelOverBudget", given, "2h", fires, model="chat"),
    ]
    hold(given, tmp_path, pod(f"{SERVICE}-predictor-1"), alert_rule_test=tests)


def test_a_model_s_budget_counts_no_other_model(tmp_path: Path) -> None:
    given = settings(None, chat="1")
    inputs = pod("chat-long-0123abcd-predictor-1")
    hold(given, tmp_path, inputs, alert_rule_test=[alerted("NexusModelOverBudget", given, "2h", False, model="chat")])


def test_a_canary_that_runs_beside_its_stable_for_less_than_an_hour_is_no_news(tmp_path: Path) -> None:
    given = settings("4000")
    inputs = [*pod(f"{SERVICE}-predictor-1"), *pod("chat-ffffffff-predictor-1", "{}x40 stale")]
    tests = [alerted("NexusEnvironmentOverBudget", given, at, False) for at in ("39m", "2h")]
    hold(given, tmp_path, inputs, alert_rule_test=tests)


def test_the_committed_rules_are_of_the_environment_s_own_prices() -> None:
    for name in ("dev", "staging", "prod"):
        given = load_settings(ROOT, name)
        text = (ROOT / "gitops" / name / "watching" / "prometheusrule-costs.yaml").read_text()
        assert f"* {given.prices.gpu_hour[given.gpu.model]} or " in text
        assert f'namespace="{given.namespace}"' in text
        assert POD in text
