"""The rules of an environment as prometheus-operator takes them: one object for each group."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.objects import Object, made
from nexus_release.watching.groups import groups, place_of
from nexus_release.watching.rules import written

_APP = "nexus-watching"


def watching(environment: str, settings: Settings) -> dict[str, Object]:
    """{file: object}; empty where no operator is. The gateway's own only where it has pods: before, it is no news that
    none answers."""
    if not settings.gateway.watching.operator:
        return {}
    place = place_of(environment, settings)
    found = groups(environment, settings)
    if settings.gateway.image is None:
        del found["gateway"]
    return {
        f"prometheusrule-{name}.yaml": made(
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            f"nexus-{name}",
            settings.namespace,
            app=_APP,
            marks=settings.gateway.watching.labels,
            spec={"groups": [written(group, place)]},
        )
        for name, group in found.items()
    }
