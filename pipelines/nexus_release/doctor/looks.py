"""Everything that is looked at, in the order in which it is told."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.convergence.places import asked_at, open_health
from nexus_release.doctor import log_path, machine, serving, watching
from nexus_release.doctor.asking import VARIABLES, Services, address_of, shown
from nexus_release.doctor.checkout import checkout, not_made
from nexus_release.doctor.finding import About, Finding, Look, absent
from nexus_release.errors import Missing
from nexus_release.local import gateway, mlflow_server
from nexus_release.local.control import running
from nexus_release.local.paths import Paths, state_folder
from nexus_release.ports import Repository
from nexus_release.watching.groups import groups

DATASOURCE = "prometheus"
"""Its UID in Grafana, by which every dashboard names it (`dashboards/grafana.py`, which is heavy to import)."""
_PORTS = {"gateway": gateway.PORT, "MLflow": mlflow_server.PORT}


@dataclass(frozen=True)
class Patient:
    environ: Mapping[str, str]
    root: Path
    environment: str
    gateways: Path | None
    repository: Repository
    remote: str
    registry: str
    """Empty where nobody has named one and none runs here."""
    services: Services


def looks(patient: Patient, about: About) -> list[Look]:
    return {"machine": _machine, "environment": _environment, "running": _running}[about](patient)


def _machine(patient: Patient) -> list[Look]:
    home = state_folder(patient.environ)

    def findings() -> Iterator[Finding]:
        return machine.machine(machine.seen_here(home, _PORTS, ours=running(home) is not None))

    return [Look("machine", findings)]


def _environment(patient: Patient) -> list[Look]:
    return checkout(patient.root, patient.repository, shown(patient.remote))


def _running(patient: Patient) -> list[Look]:
    services = patient.services
    elastic = _elastic(patient.environ)
    return [
        Look("gateway", lambda: _gateway(patient)),
        Look("revision", lambda: _revision(patient), "`nexus status` says the same of every replica"),
        Look("MLflow", lambda: _registry(patient)),
        _named(patient, "Redis", lambda url: serving.limits(services, url)),
        _named(
            patient, "Prometheus", lambda url: watching.prometheus(services, url, patient.environment, _alerts(patient))
        ),
        _named(patient, "Alertmanager", lambda url: watching.alertmanager(services, url)),
        _named(patient, "Grafana", lambda url: watching.grafana(services, url, DATASOURCE, _grafana(patient.environ))),
        _named(patient, "Kafka", lambda servers: log_path.kafka(services, servers)),
        _named(patient, "Elasticsearch", lambda url: log_path.elasticsearch(services, url, elastic)),
        _named(patient, "Kibana", lambda url: log_path.kibana(services, url, elastic)),
    ]


def _named(patient: Patient, who: str, look: Callable[[str], Iterable[Finding]]) -> Look:
    variable = VARIABLES[who.lower()]

    def findings() -> Iterator[Finding]:
        address = address_of(patient.environ, who.lower())
        yield from look(address) if address else _unnamed(who, variable)

    return Look(who, findings, f"look at {variable}")


def _unnamed(who: str, variable: str) -> Iterator[Finding]:
    yield absent(who, "nobody has named one", f"say where it is by {variable}")


def _gateway(patient: Patient) -> Iterator[Finding]:
    try:
        url, _ = asked_at(patient.environ, patient.environment, patient.gateways)
    except Missing as missing:
        yield absent("gateway", str(missing))
        return
    here = running(state_folder(patient.environ))
    ours = here is not None and here.gateway == url
    log = str(Paths(state_folder(patient.environ)).logs / "gateway.log") if ours else "its log says why"
    yield from serving.gateway(patient.services, url.split(","), log)


def _revision(patient: Patient) -> Iterator[Finding]:
    try:
        health = open_health(patient.environ, patient.environment, gateways=patient.gateways)
    except Missing:
        yield absent("revision", "no gateway to ask what it serves")
        return
    if not_made(patient.remote):
        yield absent("revision", f"there is no main at {patient.remote} to hold it against")
        return
    yield from serving.revision(health, patient.repository, patient.environment)


def _registry(patient: Patient) -> Iterator[Finding]:
    if patient.registry:
        yield from serving.registry(patient.services, patient.registry, _mlflow(patient.environ))
    else:
        yield from _unnamed("MLflow", "MLFLOW_TRACKING_URI")


def _alerts(patient: Patient) -> frozenset[str]:
    settings = load_settings(patient.root, patient.environment)
    found = groups(patient.environment, settings).values()
    return frozenset(alert.name for group in found for alert in group.alerts)


def _grafana(environ: Mapping[str, str]) -> dict[str, str]:
    token = environ.get("NEXUS_GRAFANA_TOKEN", "")
    return {"authorization": f"Bearer {token}"} if token else {}


def _elastic(environ: Mapping[str, str]) -> dict[str, str]:
    return _basic("elastic", environ.get("ELASTIC_PASSWORD", ""))


def _mlflow(environ: Mapping[str, str]) -> dict[str, str]:
    """As MLflow's own client has it."""
    if token := environ.get("MLFLOW_TRACKING_TOKEN", ""):
        return {"authorization": f"Bearer {token}"}
    return _basic(environ.get("MLFLOW_TRACKING_USERNAME", ""), environ.get("MLFLOW_TRACKING_PASSWORD", ""))


def _basic(name: str, password: str) -> dict[str, str]:
    told = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {told}"} if name and password else {}
