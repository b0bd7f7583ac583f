"""`nexus doctor`: the machine, the checkout and what runs, and what to do where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments
from nexus_terminal.progress import Progress

if TYPE_CHECKING:
    from nexus_release.doctor.asking import Services
    from nexus_release.doctor.finding import About, Finding
    from nexus_release.doctor.looks import Patient

_ABOUT: Sequence[About] = ("machine", "environment", "running")
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "not here": "bright_black"}


@click.command("doctor", epilog="Example: nexus doctor --only machine --only environment")
@arguments.in_environment
@click.option("--only", "only", type=click.Choice(_ABOUT), multiple=True, help="Look at nothing else; several times.")
@arguments.gateways
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
@click.option("--strict", is_flag=True, help="End with 1 also where something is only a warning.")
@click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON.")
def command(
    environment: str, only: tuple[About, ...], gateways: Path | None, root: Path, strict: bool, as_json: bool
) -> None:
    """Look at the machine, at this checkout, and at what runs of ENV: gateway, registry, Redis, Prometheus,
    Alertmanager, Grafana, Kafka, Elasticsearch and Kibana, by the variables that name them.

    Changes nothing. Ends with 1 where something is wrong; each fault says its cause and its mend. Whom nobody has named
    is not here, which is no fault.
    """
    import json

    from nexus_release.doctor.finding import examine
    from nexus_release.doctor.looks import looks
    from nexus_release.wiring import services

    with services() as asked, Progress("everything is looked at"):
        patient = _patient(environment, gateways, root, asked)
        found = {about: list(examine(looks(patient, about))) for about in _ABOUT if about in (only or _ABOUT)}
    every = [one for several in found.values() for one in several]
    if as_json:
        told = {about: [one.model_dump() for one in several] for about, several in found.items()}
        click.echo(json.dumps(told, indent=2))
    else:
        for about, several in found.items():
            _show(about, several)
        click.echo(_counted(every))
    wrong = {"fail", "warn"} if strict else {"fail"}
    if any(one.verdict in wrong for one in every):
        raise click.exceptions.Exit(1)


def _patient(environment: str, gateways: Path | None, root: Path, services: Services) -> Patient:
    import os

    from nexus_release.convergence.places import here
    from nexus_release.doctor.looks import Patient
    from nexus_release.local.control import running
    from nexus_release.local.paths import state_folder
    from nexus_release.wiring import Tools

    connections = here(os.environ)
    named = running(state_folder(os.environ)) is not None or bool(os.environ.get("MLFLOW_TRACKING_URI"))
    return Patient(
        environ=os.environ,
        root=root,
        environment=environment,
        gateways=gateways,
        repository=Tools(connections).repository,
        remote=connections.remote,
        registry=connections.registry.rstrip("/") if named else "",
        services=services,
    )


def _show(about: str, found: Sequence[Finding]) -> None:
    click.secho(about, bold=True)
    width = max(len(one.name) for one in found)
    for one in found:
        click.echo(f"  {click.style(f'{one.verdict:8}', fg=_COLOURS[one.verdict])}  {one.name:{width}}  {one.said}")
        if one.mend and one.verdict in ("warn", "fail"):
            click.echo(f"  {'':8}  {'':{width}}  -> {one.mend}")
    click.echo()


def _counted(found: Sequence[Finding]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in _COLOURS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
