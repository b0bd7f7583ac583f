"""`nexus mirror`: the registry's aliases follow Git."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments
from nexus_release.terminal import plain
from nexus_terminal.progress import Progress

if TYPE_CHECKING:
    from nexus_release.mirror import Mirror
    from nexus_release.wiring import Tools

_PAUSE_SECONDS = 2.0  # between two looks; each clones main's history


@click.command("mirror", epilog="Example: nexus mirror --env prod --wait 300")
@arguments.in_environment
@click.option("--check", is_flag=True, help="Change nothing; end with 1 where an alias does not say what Git says.")
@click.option("--wait", "seconds", default=0.0, metavar="SECONDS", help="Wait for what Git names and is not up yet.")
@click.option("--resolve", type=click.Path(path_type=Path, dir_okay=False), help="As the gateway's own --resolve.")
@click.option("--json", "as_json", is_flag=True, help="Print every alias as JSON.")
def command(environment: str, check: bool, seconds: float, resolve: Path | None, as_json: bool) -> None:
    """Move the aliases ENV and ENV-canary of each model to what main names, once the gateway serves it and its engine
    answers, and remove those that main no longer names.

    Ends with 1 where an alias cannot follow, or with --wait is still behind at the end; without --wait what is not up
    yet is told and is no fault. NEXUS_GATEWAY and NEXUS_GATEWAY_KEY say which gateway is asked.
    """
    from nexus_release.wiring import Connections, Tools

    tools = Tools(Connections.from_environment())
    if check:
        _check(tools, environment, as_json)
        return
    with Progress("aliases follow what main names and the gateway serves"):
        found = _mirrored(tools, environment, resolve, seconds)
    from nexus_release.mirror import lines

    click.echo(found.model_dump_json(indent=2) if as_json else plain("\n".join(lines(found))))
    if found.which("refused") or (seconds and found.which("waits")):
        raise click.exceptions.Exit(1)


def _mirrored(tools: Tools, environment: str, resolve: Path | None, seconds: float) -> Mirror:
    """What the last try has come to. Raises Unreachable where one does not answer until the time is over."""
    import os
    import time

    from nexus_release.convergence.places import open_health
    from nexus_release.errors import Unreachable
    from nexus_release.mirror import mirror

    health = open_health(os.environ, environment, resolve)
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = mirror(tools.repository, tools.registry, health, environment)
            if not found.which("waits") or time.monotonic() >= deadline:
                return found
        except Unreachable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))


def _check(tools: Tools, environment: str, as_json: bool) -> None:
    from nexus_release.mirror import disagreements, standings

    with tools.repository.history() as history:
        found = standings(history, tools.registry, environment)
    wrong = disagreements(found)
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    else:
        click.echo(plain("\n".join(wrong) or f"{len(found)} aliases of {environment} say what Git says"))
    if wrong:
        raise click.exceptions.Exit(1)
