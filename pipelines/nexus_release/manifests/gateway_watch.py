"""Who watches the gateway by what: the scrape, the alerts and a dashboard. Few and true; each names real families."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from nexus_release.config import Settings
from nexus_release.manifests.gateway_doors import EACH_REPLICA
from nexus_release.manifests.gateway_pods import GATEWAY, PORT_NAME, SELECTOR
from nexus_release.manifests.objects import DASHBOARDS, NAME, Object, made

DATASOURCE = "prometheus"
"""UID of Grafana's datasource, fixed, so that a dashboard needs no clicks."""
_EVERY = "15s"


@dataclass(frozen=True)
class Alert:
    name: str
    expression: str
    """PromQL in which `{gateway}` chooses this environment's series."""
    lasting: str
    severity: str
    summary: str
    """What is the matter, and where to look."""


ALERTS = (
    Alert(
        "NexusGatewayDown",
        "absent(up{{{gateway}}} == 1)",
        "2m",
        "critical",
        "No gateway answers: look at its pods, then at the Secret with its keys, without which none starts.",
    ),
    Alert(
        "NexusGatewayErrors",
        'sum(rate(gateway_requests_total{{{gateway},status=~"5.."}}[5m]))'
        " / sum(rate(gateway_requests_total{{{gateway}}}[5m])) > 0.05",
        "5m",
        "critical",
        "More than 5 % of requests end in a fault of ours: see gateway_release_requests_total by release and status.",
    ),
    Alert(
        "NexusGatewaySlow",
        "histogram_quantile(0.95, sum by (le) (rate(gateway_time_to_first_byte_seconds_bucket{{{gateway}}}[5m])))"
        " > {slow}",
        "10m",
        "warning",
        "The first byte takes more than half of its deadline for 5 % of requests: see gateway_queue_depth, and the"
        " engines.",
    ),
    Alert(
        "NexusGatewayRateLimited",
        "sum(rate(gateway_rate_limited_total{{{gateway}}}[10m]))"
        " / sum(rate(gateway_requests_total{{{gateway}}}[10m])) > 0.1",
        "10m",
        "warning",
        "More than 10 % of requests are over their caller's limit: see gateway_limit_refusals_total, and who it is in"
        " the log.",
    ),
    Alert(
        "NexusUpstreamErrors",
        'sum by (upstream) (rate(gateway_upstream_requests_total{{{gateway},status=~"5..|error"}}[5m]))'
        " / sum by (upstream) (rate(gateway_upstream_requests_total{{{gateway}}}[5m])) > 0.1",
        "5m",
        "warning",
        "More than 10 % of the calls of an engine fail: see gateway_circuit_state, and the engine's pods.",
    ),
)

PANELS: tuple[tuple[str, str, str], ...] = (
    ("Requests per second", "sum by (path) (rate(gateway_requests_total{{{gateway}}}[5m]))", "reqps"),
    (
        "5xx error rate",
        'sum(rate(gateway_requests_total{{{gateway},status=~"5.."}}[5m]))'
        " / sum(rate(gateway_requests_total{{{gateway}}}[5m]))",
        "percentunit",
    ),
    (
        "Request latency p95",
        "histogram_quantile(0.95, sum by (le) (rate(gateway_request_latency_seconds_bucket{{{gateway}}}[5m])))",
        "s",
    ),
    (
        "Upstream latency p95",
        "histogram_quantile(0.95,"
        " sum by (upstream, le) (rate(gateway_upstream_latency_seconds_bucket{{{gateway}}}[5m])))",
        "s",
    ),
    (
        "Upstream errors",
        'sum by (upstream) (rate(gateway_upstream_requests_total{{{gateway},status=~"5..|error"}}[5m]))',
        "reqps",
    ),
    ("Rate limited requests", "sum(rate(gateway_rate_limited_total{{{gateway}}}[5m]))", "reqps"),
    ("Circuit open", "sum by (upstream) (increase(gateway_circuit_open_total{{{gateway}}}[5m]))", "short"),
    (
        "Fallback usage",
        "sum by (from_model, to_model) (rate(gateway_fallback_used_total{{{gateway}}}[5m]))",
        "reqps",
    ),
    ("In-flight requests", "sum(gateway_in_flight_requests{{{gateway}}})", "short"),
)
"""(title, PromQL, unit) of each panel of the dashboard."""


def gateway_watch(settings: Settings) -> dict[str, Object]:
    """{file: object}. Alerts only where there are pods: before, it is no news that none answers."""
    own = settings.gateway
    objects = {"dashboard.yaml": _dashboard(settings)}
    if own.watching.operator:
        objects["servicemonitor.yaml"] = _monitor(settings)
        if own.image is not None:
            objects["prometheusrule.yaml"] = _rules(settings)
    return objects


def expression(template: str, settings: Settings) -> str:
    """PromQL for this environment's series."""
    chosen = f'job="{GATEWAY}",namespace="{settings.namespace}"'
    return template.format(gateway=chosen, slow=settings.timeouts.first_byte_seconds / 2)


def _monitor(settings: Settings) -> Object:
    spec = {
        "endpoints": [{"interval": _EVERY, "path": "/metrics", "port": PORT_NAME}],
        "jobLabel": NAME,
        "namespaceSelector": {"matchNames": [settings.namespace]},
        "selector": {"matchLabels": {**SELECTOR, **EACH_REPLICA}},
    }
    return made(
        "monitoring.coreos.com/v1",
        "ServiceMonitor",
        GATEWAY,
        settings.namespace,
        app=GATEWAY,
        marks=settings.gateway.watching.labels,
        spec=spec,
    )


def _rules(settings: Settings) -> Object:
    rules = [
        {
            "alert": alert.name,
            "expr": expression(alert.expression, settings),
            "for": alert.lasting,
            # Said here, since what is missing has no labels.
            "labels": {"namespace": settings.namespace, "severity": alert.severity},
            "annotations": {"summary": alert.summary},
        }
        for alert in ALERTS
    ]
    return made(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        GATEWAY,
        settings.namespace,
        app=GATEWAY,
        marks=settings.gateway.watching.labels,
        spec={"groups": [{"name": f"{GATEWAY}.{settings.namespace}", "rules": rules}]},
    )


def _dashboard(settings: Settings) -> Object:
    panels = [
        panel(number, title, expression(told, settings), unit) for number, (title, told, unit) in enumerate(PANELS)
    ]
    return dashboard(GATEWAY, "Nexus Gateway", panels, settings)


def dashboard(app: str, title: str, panels: Sequence[Object], settings: Settings) -> Object:
    """The ConfigMap in which Grafana's sidecar finds a dashboard of the environment."""
    document = {
        "uid": f"{app}-{settings.namespace}"[:40],  # Grafana's own bound
        "title": f"{title} ({settings.namespace})",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "panels": panels,
    }
    return made(
        "v1",
        "ConfigMap",
        f"{app}-dashboard",
        settings.namespace,
        app=app,
        marks={settings.gateway.watching.dashboard_label: "1"},
        annotations=DASHBOARDS,
        data={f"{app}.json": json.dumps(document, indent=1, sort_keys=True) + "\n"},
    )


def panel(number: int, title: str, query: str, unit: str) -> Object:
    """Three stand in a row, by their number from 0."""
    datasource = {"type": "prometheus", "uid": DATASOURCE}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": datasource,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "gridPos": {"h": 8, "w": 8, "x": 8 * (number % 3), "y": 8 * (number // 3)},
        "targets": [{"refId": "A", "datasource": datasource, "expr": query}],
    }
