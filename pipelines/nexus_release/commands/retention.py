"""`nexus retention`: whose data may no longer be kept."""

from __future__ import annotations

from datetime import datetime

import click

from nexus_release.commands import arguments
from nexus_release.commands.change import open_tools
from nexus_release.terminal import plain


@click.command("retention", epilog="Example: nexus retention --env prod")
@click.option(
    "--env", "environment", callback=arguments.some_environment, help="Only what its plans name [default: all]."
)
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="As if it were that day [default: today, UTC].")
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--json", "as_json", is_flag=True, help="Print every such release as JSON.")
def command(environment: str | None, day: datetime | None, remote: str | None, as_json: bool) -> None:
    """List releases whose data has passed its retention, where they are still served, and what must be deleted.

    Deletes nothing. Ends with 1 where there is such a release, so that a clock or CI can tell.
    """
    from nexus_release.data_declaration import today
    from nexus_release.lineage import descents
    from nexus_release.retention import lines, retention

    with open_tools(remote).repository.history() as history:
        found = retention(descents(history), day.date() if day else today(), environment)
    click.echo(found.model_dump_json(indent=2) if as_json else plain("\n".join(lines(found))))
    if found.due:
        raise click.exceptions.Exit(1)
