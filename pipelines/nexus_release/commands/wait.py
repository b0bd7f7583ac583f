"""`nexus wait`: until every replica of an environment's gateway serves a revision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from nexus_release.commands import arguments
from nexus_release.terminal import plain, plain_line


@click.command("wait", epilog="Example: nexus wait --env prod --commit $(git rev-parse HEAD) --timeout 300")
@arguments.in_environment
@click.option(
    "--revision", default="", callback=arguments.hex_prefix, help="As x-nexus-revision shows it, or its beginning."
)
@click.option("--commit", default="", callback=arguments.hex_prefix, help="A commit of main, or its beginning.")
@arguments.gateways
@click.option("--resolve", type=click.Path(path_type=Path, dir_okay=False), help="As the gateway's own --resolve.")
@click.option("--replicas", "least", type=click.IntRange(1), default=1, show_default=True, help="That there must be.")
@click.option("--engines", is_flag=True, help="Wait until each engine of the revision answers, too.")
@click.option("--aliases", is_flag=True, help="Wait until the registry's aliases say what main says, too.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Until it gives up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print how it ended as JSON.")
def command(
    environment: str,
    revision: str,
    commit: str,
    gateways: Path | None,
    resolve: Path | None,
    least: int,
    engines: bool,
    aliases: bool,
    seconds: float,
    as_json: bool,
) -> None:
    """Wait until every worker of every replica serves REVISION, the one of COMMIT, or main's own, which is followed
    while it moves.

    Ends with 0 once all serve it; with 1 where they do not in time, a replica refuses it, or main has moved on before
    all served it, and says who is missing; with 2 for a revision or commit that is not main's.
    """
    import os

    from nexus_release.convergence.places import here, open_health
    from nexus_release.convergence.wait import Asked, lines, wait
    from nexus_release.errors import BadInput
    from nexus_release.wiring import Tools

    if revision and commit:
        raise BadInput("--revision", revision, "give either --revision or --commit")
    tools = Tools(here(os.environ))
    asked = Asked(
        open_health(os.environ, environment, resolve, gateways), tools.registry if aliases else None, engines, least
    )
    found = wait(
        tools.repository, environment, asked, revision=revision, commit=commit, seconds=seconds, tell=_waiting_for
    )
    click.echo(found.model_dump_json(indent=2) if as_json else plain("\n".join(lines(found))))
    if found.ending != "converged":
        raise click.exceptions.Exit(1)


def _waiting_for(missing: Sequence[str]) -> None:
    for sentence in missing:
        click.echo(f"waiting: {plain_line(sentence)}", err=True)
