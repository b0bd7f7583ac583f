"""`nexus-gateway simulate`: what moves when the routes change, by a recorded log."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from nexus_terminal.progress import Progress

_PATH = click.Path(path_type=Path)
_EXAMPLE = "nexus-gateway simulate main:gitops/prod/gateway/routes.d gitops/prod/gateway/routes.d --log decisions"


@click.command(epilog=f"Example: {_EXAMPLE}")
@click.argument("old")
@click.argument("new")
@click.option("--log", "paths", type=_PATH, multiple=True, required=True, help="File of a decision log, or its folder.")
@click.option("--repository", type=_PATH, default=Path(), help="Of a COMMIT:PATH [default: this folder].")
@click.option("--max-moved", type=click.FloatRange(0, 100), help="Percent of the decisions that may move.")
@click.option("--max-refused", type=click.IntRange(0), help="Decisions that may find no model any more.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="For a pull request.")
def simulate(
    old: str,
    new: str,
    paths: tuple[Path, ...],
    repository: Path,
    max_moved: float | None,
    max_refused: int | None,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Decide a recorded log under OLD and NEW routes, and tell what moves.

    Each is a file, a folder, or COMMIT:PATH of a Git repository. Ends with 0 whatever moves, with 1 where a bound that
    was given does not hold or the log is not to be trusted, with 2 where nothing can be decided.
    """
    from nexus_gateway.config_errors import ConfigRefused
    from nexus_gateway.decisions.command import read_log
    from nexus_gateway.decisions.simulated import lines, markdown, report
    from nexus_gateway.decisions.simulation import simulate as simulated
    from nexus_gateway.named_routes import routes_named

    try:
        with Progress("the log is read") as progress:
            log = read_log(paths)
            progress.on(f"{len(log.decisions)} decisions are made twice")
            found = simulated(log.decisions, routes_named(old, repository), routes_named(new, repository))
    except (ConfigRefused, OSError) as error:
        click.echo(f"nexus-gateway: {error}", err=True)
        sys.exit(2)
    told = report(found, log.lost, log.unreadable, max_moved, max_refused)
    shown = markdown(told) if as_markdown else lines(told)
    click.echo(json.dumps(told.document(), indent=2) if as_json else "\n".join(shown))
    if not found.decided and not found.turned_away:
        click.echo("nexus-gateway: no decision could be made again: are these its routes?", err=True)
        sys.exit(2)
    sys.exit(0 if told.sound else 1)
