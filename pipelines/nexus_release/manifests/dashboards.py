"""The ConfigMaps in which Grafana's sidecar finds an environment's dashboards."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.dashboards.boards import BOARDS, scope_of
from nexus_release.dashboards.grafana import document
from nexus_release.manifests.objects import DASHBOARDS, Object, made


def dashboards(environment: str, settings: Settings) -> dict[str, Object]:
    """{file: ConfigMap} of every dashboard."""
    return {f"{name}.yaml": _config_map(name, environment, settings) for name in BOARDS}


def _config_map(name: str, environment: str, settings: Settings) -> Object:
    scope = scope_of(environment, settings)
    return made(
        "v1",
        "ConfigMap",
        f"{name}-dashboard",
        settings.namespace,
        app=name,
        marks={settings.gateway.watching.dashboard_label: "1"},
        annotations=DASHBOARDS,
        data={f"{name}.json": document(BOARDS[name](scope), scope)},
    )
