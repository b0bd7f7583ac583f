"""What a person on duty has: a checkout of a company's repository, three gateways that serve what its main says of
`prod`, their engines, a registry whose aliases are true, and a Prometheus that has watched the pods."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from nexus_gateway.telemetry.audit import AuditLog
from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.config import load_settings
from nexus_release.names import service_name
from nexus_release.plan import admitted, promoted, shifted

from . import audit
from .gateway import BIN
from .mirrored import entry_of
from .prometheus_history import PrometheusHistory, sample
from .promotable import Company, plant_clusters, promotable
from .reader_world import Reader
from .remotes import Remote, git
from .replicas import Replica, replicas
from .repository import ROOT
from .worker import Worker

MODEL, ENVIRONMENT, BELOW = "duty-chat", "prod", "staging"
"""The registry is the whole session's: no other test has a model of that name."""
_AGO = 7200
"""Seconds since the releases: pages ask what hours have cost."""
_NOVEMBER = 1793491200
"""The first second of it, of 2026: a page asks what that month has cost."""


@contextmanager
def served(folder: Path, registry: str) -> Iterator[Reader]:
    remote = Remote(folder, plant_clusters)
    company = Company(remote, folder)
    with patch.dict(os.environ, GIT_COMMITTER_DATE=f"@{int(time.time()) - _AGO} +0000"):
        releases = _history(company, MlflowRegistry(registry))
    stable = releases[1]
    home = folder / "nexus"
    git(folder, "clone", "--quiet", str(remote.path), str(home))
    (home / "ops").symlink_to(ROOT / "ops")
    _audited(home / "audit", stable)
    prometheus = PrometheusHistory(_made(folder / "prometheus"), _pods(service_name(MODEL, stable)))
    with (
        Worker("--engine=mock", f"--served-model-name={MODEL}") as engine,
        replicas(folder, remote, ENVIRONMENT, count=3) as gateways,
    ):
        _reach(gateways, remote, engine, releases)
        (home / "resolve.json").write_bytes(gateways[0].resolve.read_bytes())
        try:
            prometheus.start()
            yield Reader(
                home,
                _environment(remote, gateways, registry, prometheus, folder),
                {
                    "REVISION": gateways[0].served().pop()[:8],
                    "3f9a0c1d": gateways[0].served().pop()[:8],
                    "7b2e44d0": stable[:8],
                    "UPSTREAM": service_name(MODEL, stable),
                    "RELEASE": stable[:8],
                    "MODEL": MODEL,
                    "pydoc-chat": MODEL,
                    "handbook-chat": MODEL,
                    "9d41c7aa": gateways[0].served().pop()[:8],
                    "3f2a91bc": remote.head[:8],
                    "Bearer KEY": "Bearer dev-key",
                    "http://127.0.0.1:9090": prometheus.url,
                    "http://prometheus:9090": prometheus.url,
                },
            )
        finally:
            prometheus.stop()


def _history(company: Company, registry: MlflowRegistry) -> list[str]:
    """Three releases: one was stable, one is, one is a canary. The aliases name those of now."""
    records = [promotable(seed, model=MODEL) for seed in (1, 2, 3)]
    versions = [registry.register(entry_of(record)).version for record in records]
    first, second, third = (company.make(record) for record in records)
    plan = admitted(None, MODEL, first)
    entered = admitted(plan, MODEL, second)
    settled = promoted(shifted(entered, second.release, 20), second.release, 1)
    for environment in (BELOW, ENVIRONMENT):
        for step in (plan, entered, settled):
            company.remote.plan(step, environment=environment)
    company.remote.plan(shifted(admitted(settled, MODEL, third), third.release, 20), environment=ENVIRONMENT)
    registry.set_alias(MODEL, ENVIRONMENT, versions[1])
    registry.set_alias(MODEL, f"{ENVIRONMENT}-canary", versions[2])
    company.remote.plan(admitted(None, MODEL, second))
    return [one.release for one in (first, second, third)]


def _audited(folder: Path, release: str) -> None:
    log = AuditLog(folder, audit.SALT, "gateway-0")
    log.start()
    log.write(audit.record(1, key_id="team-a", release=release, prompt_tokens=30, completion_tokens=10), MODEL)
    log.stop()


def _reach(gateways: list[Replica], remote: Remote, engine: Worker, releases: Sequence[str]) -> None:
    settings = load_settings(remote.clone, ENVIRONMENT)
    hosts = [f"{service_name(MODEL, one)}-predictor.{settings.namespace}.{settings.domain}:80" for one in releases]
    for one in gateways:
        one.resolve.write_text(json.dumps(dict.fromkeys(hosts, engine.url.removeprefix("http://"))))


def _pods(service: str) -> Iterator[str]:
    """An hour of one pod with one GPU, this November and just now."""
    labels = {"namespace": "nexus", "pod": f"{service}-predictor-7d9f8-abcde"}
    for begin in (_NOVEMBER, int(time.time()) - _AGO):
        for minute in range(61):
            at = begin + 60 * minute
            yield sample("kube_pod_status_scheduled", {**labels, "condition": "true"}, 1, at)
            for resource, value in (("nvidia_com_gpu", 1), ("cpu", 4), ("memory", 1 << 35)):
                held = {**labels, "container": "kserve-container", "resource": resource}
                yield sample("kube_pod_container_resource_requests", held, value, at)


def _environment(
    remote: Remote, gateways: list[Replica], registry: str, prometheus: PrometheusHistory, folder: Path
) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_", "MLFLOW"))}
    return clean | {
        "PATH": f"{BIN}:{clean['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "200",
        "NEXUS_GATEWAY": ",".join(one.url for one in gateways),
        "NEXUS_GATEWAY_KEY": "dev-key",
        "NEXUS_PROMETHEUS": prometheus.url,
        "NEXUS_REMOTE": str(remote.path),
        "NEXUS_STATE": str(folder / "state"),
        "MLFLOW_TRACKING_URI": registry,
    }


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
