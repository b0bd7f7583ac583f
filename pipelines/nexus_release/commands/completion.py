"""`nexus completion SHELL`: the shell completion script."""

from __future__ import annotations

import click


@click.command("completion", epilog='Example: eval "$(nexus completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL for `nexus`."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from nexus_release.cli import nexus

    complete = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    click.echo(complete(nexus, {}, "nexus", "_NEXUS_COMPLETE").source())
