"""Alerts ring when they should and are silent when not, by promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.manifests.gateway_doors import gateway_doors
from nexus_release.manifests.gateway_watch import ALERTS, gateway_watch

from ..support.cluster_settings import settings_of

SETTINGS = settings_of("prod")
OURS = 'job="nexus-gateway",namespace="nexus"'
SERIES: dict[str, dict[str, str]] = {
    "NexusGatewayDown": {f"up{{{OURS}}}": "0x60"},
    "NexusGatewayErrors": {
        f'gateway_requests_total{{{OURS},status="200"}}': "0+90x60",
        f'gateway_requests_total{{{OURS},status="502"}}': "0+10x60",
    },
    "NexusGatewaySlow": {
        f'gateway_time_to_first_byte_seconds_bucket{{{OURS},le="1"}}': "0+90x60",
        f'gateway_time_to_first_byte_seconds_bucket{{{OURS},le="10"}}': "0+100x60",
        f'gateway_time_to_first_byte_seconds_bucket{{{OURS},le="+Inf"}}': "0+100x60",
    },
    "NexusGatewayRateLimited": {
        f"gateway_rate_limited_total{{{OURS}}}": "0+20x60",
        f'gateway_requests_total{{{OURS},status="429"}}': "0+20x60",
        f'gateway_requests_total{{{OURS},status="200"}}': "0+80x60",
    },
    "NexusUpstreamErrors": {
        f'gateway_upstream_requests_total{{{OURS},upstream="chat",status="200"}}': "0+80x60",
        f'gateway_upstream_requests_total{{{OURS},upstream="chat",status="error"}}': "0+20x60",
    },
}
"""Alert -> series by the minute under which it must ring."""
OF_ONE = {"NexusUpstreamErrors": {"upstream": "chat"}}
"""Alert -> what it says of which one it is about."""
WELL = {
    f"up{{{OURS}}}": "1x60",
    f'gateway_requests_total{{{OURS},status="200"}}': "0+990x60",
    f'gateway_requests_total{{{OURS},status="502"}}': "0+10x60",
    f'gateway_time_to_first_byte_seconds_bucket{{{OURS},le="1"}}': "0+99x60",
    f'gateway_time_to_first_byte_seconds_bucket{{{OURS},le="+Inf"}}': "0+100x60",
    f"gateway_rate_limited_total{{{OURS}}}": "0+5x60",
    f'gateway_upstream_requests_total{{{OURS},upstream="chat",status="200"}}': "0+990x60",
    f'gateway_upstream_requests_total{{{OURS},upstream="chat",status="error"}}': "0+10x60",
    # Another environment's troubles are not this one's.
    'gateway_requests_total{job="nexus-gateway",namespace="nexus-dev",status="502"}': "0+1000x60",
}


def rules_file(folder: Path) -> Path:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not here (`make services` installs it)")
    rule: Any = gateway_watch(SETTINGS)["prometheusrule.yaml"]
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(rule["spec"]))
    return path


def promtool(folder: Path, series: dict[str, str], ringing: set[str]) -> subprocess.CompletedProcess[str]:
    """Holds every alert, after an hour of `series`, to whether it rings."""
    tested = [
        {
            "eval_time": "45m",
            "alertname": alert.name,
            "exp_alerts": [
                {
                    "exp_labels": {"severity": alert.severity, "namespace": "nexus", **OF_ONE.get(alert.name, {})},
                    "exp_annotations": {"summary": alert.summary},
                }
            ]
            if alert.name in ringing
            else [],
        }
        for alert in ALERTS
    ]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": tested,
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    return subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("alert", [alert.name for alert in ALERTS])
def test_an_alert_rings_when_it_should(alert: str, tmp_path: Path) -> None:
    rules_file(tmp_path)
    up = {} if alert == "NexusGatewayDown" else {f"up{{{OURS}}}": "1x60"}
    done = promtool(tmp_path, {**up, **SERIES[alert]}, {alert})
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_rings_when_all_is_well_and_the_test_would_see_one(tmp_path: Path) -> None:
    rules_file(tmp_path)
    done = promtool(tmp_path, WELL, set())
    assert done.returncode == 0, done.stdout + done.stderr
    assert promtool(tmp_path, WELL, {"NexusGatewayErrors"}).returncode != 0


def test_each_pod_is_scraped_once() -> None:
    """Two Services have the gateway's name; the monitor chooses the one that gives each pod's address."""
    monitor: Any = gateway_watch(SETTINGS)["servicemonitor.yaml"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services: list[Any] = [body for body in gateway_doors(SETTINGS).values() if body["kind"] == "Service"]
    chosen = [body["metadata"]["name"] for body in services if wanted <= body["metadata"]["labels"].items()]
    assert chosen == ["nexus-gateway-replicas"]
