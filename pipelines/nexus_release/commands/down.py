"""`nexus down`: the end of what `nexus up` started."""

from __future__ import annotations

import click

from nexus_terminal.progress import Progress


@click.command("down", epilog="Example: nexus down")
@click.option("--json", "as_json", is_flag=True, help="Print {stopped: true or false}.")
def command(as_json: bool) -> None:
    """Stop what `nexus up` started, in order, and everything that a run that was killed has left."""
    import json
    import os

    from nexus_release.local.control import take_down
    from nexus_release.local.paths import state_folder

    with Progress("what runs ends"):
        stopped = take_down(state_folder(os.environ))
    text = "stopped" if stopped else "nothing ran"
    click.echo(json.dumps({"stopped": stopped}) if as_json else text)
