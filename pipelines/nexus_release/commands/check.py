"""`nexus check BEFORE AFTER`: may this change land?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments

if TYPE_CHECKING:
    from nexus_release.manifests.changes import Only

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command("check", epilog="Example: nexus check ../main . --env local")
@click.argument("before", type=_FOLDER)
@click.argument("after", type=_FOLDER)
@arguments.in_environment
@click.option("--only", type=click.Choice(["canary-step"]), help="Refuse whatever is more than that.")
@click.option("--json", "as_json", is_flag=True, help="Print the refusals as JSON.")
def command(before: Path, after: Path, environment: str, only: Only | None, as_json: bool) -> None:
    """Hold the change from tree BEFORE to tree AFTER against the rules of ENV. Ends with 1 where it may not land."""
    from nexus_release.errors import NexusError
    from nexus_release.manifests.changes import refusals

    found = refusals(before, after, environment, only=only)
    if as_json:
        click.echo(json.dumps({"refusals": found}, indent=2))
    if found:
        raise NexusError("this change may not land:\n" + "\n".join(f"  {line}" for line in found))
    if not as_json:
        click.echo("this change may land")
