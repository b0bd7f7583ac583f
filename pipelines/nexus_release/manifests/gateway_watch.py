"""Who watches the gateway by what: the scrape and the alerts. Few and true; each names real families."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_release.config import Settings
from nexus_release.manifests.gateway_doors import EACH_REPLICA
from nexus_release.manifests.gateway_pods import GATEWAY, PORT_NAME, SELECTOR
from nexus_release.manifests.objects import NAME, Object, made

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


def gateway_watch(settings: Settings) -> dict[str, Object]:
    """{file: object}. Alerts only where there are pods: before, it is no news that none answers."""
    own = settings.gateway
    objects: dict[str, Object] = {}
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
