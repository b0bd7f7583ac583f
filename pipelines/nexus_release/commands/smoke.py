"""`nexus smoke`: each model that an environment routes, asked through its gateway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments
from nexus_release.terminal import plain_line

if TYPE_CHECKING:
    from nexus_release.convergence.routed import RoutedModel


@click.command("smoke", epilog="Example: nexus smoke --env prod --within 300")
@arguments.in_environment
@click.option(
    "--routes",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of route files, as it is mounted; else main's are read.",
)
@click.option(
    "--revision", default="", callback=arguments.hex_prefix, help="That must answer; by default the routes' own."
)
@arguments.gateways
@click.option(
    "--within", type=click.FloatRange(0), default=120.0, show_default=True, help="Seconds until all serve it."
)
@click.option("--timeout", type=click.FloatRange(0.1), default=60.0, show_default=True, help="Seconds for an answer.")
@click.option("--json", "as_json", is_flag=True, help="Print every model as JSON.")
def command(
    environment: str,
    routes: Path | None,
    revision: str,
    gateways: Path | None,
    within: float,
    timeout: float,
    as_json: bool,
) -> None:
    """Wait until every replica serves the routes, then ask for each model, whole and as a stream, and prove who
    answered by the headers: the revision, and a release that the plan names.

    One line a model. Ends with 1 where one fails. NEXUS_GATEWAY_KEY is a key that may ask for every model and has the
    scope `admin`. With --routes neither Git nor a registry is asked.
    """
    import json
    import os

    from nexus_release.convergence.places import asked_at, open_health
    from nexus_release.convergence.smoke import Asked, line, smoke
    from nexus_release.convergence.wait import lines, wait_served
    from nexus_release.wiring import asker_with

    models, expected = _expected(environment, routes, revision)
    health = open_health(os.environ, environment, gateways=gateways)
    served = wait_served(health, expected, seconds=within, tell=_waiting_for)
    if served.ending != "converged":
        for told in lines(served):
            click.echo(plain_line(told), err=True)
        raise click.exceptions.Exit(1)
    asker = asker_with(asked_at(os.environ, environment, gateways)[1], timeout)
    found: list[Asked] = []
    for asked in smoke(models, [one.address for one in served.replicas], expected, asker):
        found.append(asked)
        if not as_json:
            click.echo(plain_line(line(asked)))
    if as_json:
        told_all = {"revision": expected, "models": [one.model_dump(mode="json") for one in found]}
        click.echo(json.dumps(told_all, indent=2))
    elif not found:
        click.echo("the routes name no model; nothing was asked")
    if any(one.faults for one in found):
        raise click.exceptions.Exit(1)


def _expected(environment: str, routes: Path | None, revision: str) -> tuple[tuple[RoutedModel, ...], str]:
    """(what is routed, by which whole revision). Raises DigestMismatch where mounted routes are not of `revision`."""
    import os

    from nexus_release.convergence.places import here
    from nexus_release.convergence.routed import routed
    from nexus_release.convergence.wait import wanted_of
    from nexus_release.errors import DigestMismatch
    from nexus_release.history import routes_folder
    from nexus_release.revisions import routes_revision
    from nexus_release.wiring import Tools

    if routes is not None:
        files = {path.name: path.read_bytes() for path in routes.glob("*.yaml")}
        found = routes_revision(files)
        if revision and not found.startswith(revision):
            raise DigestMismatch(f"{routes}: what is mounted is not what this was rendered for", revision, found)
        return routed(files), found
    with Tools(here(os.environ)).repository.history() as history:
        wanted = wanted_of(history, environment, revision)
        return routed(history.folder(wanted.commit, routes_folder(environment))), wanted.revision


def _waiting_for(missing: Sequence[str]) -> None:
    for sentence in missing:
        click.echo(f"waiting: {plain_line(sentence)}", err=True)
