"""`nexus down`: the end of what `nexus up` started."""

from __future__ import annotations

import click


@click.command("down", epilog="Example: nexus down")
def command() -> None:
    """Stop what `nexus up` started, in order, and everything that a run that was killed has left."""
    import os

    from nexus_release.local.control import take_down
    from nexus_release.local.paths import state_folder

    click.echo("stopped" if take_down(state_folder(os.environ)) else "nothing ran")
