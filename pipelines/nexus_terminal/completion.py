"""Completion of words, options and names by bash, zsh and fish. click has it, so no library is needed besides."""

from __future__ import annotations

from collections.abc import Callable

import click


def completion(name: str, program: Callable[[], click.Command]) -> click.Command:
    """The word `completion` of the program called `name`."""

    @click.command("completion", epilog=f'Example: eval "$({name} completion bash)"')
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    def command(shell: str) -> None:
        """Print the completion script of SHELL.

        Put the example's line into ~/.bashrc (zsh: ~/.zshrc); for fish: `completion fish | source`.
        """
        from click.shell_completion import BashComplete, FishComplete, ZshComplete

        complete = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
        click.echo(complete(program(), {}, name, f"_{name.replace('-', '_').upper()}_COMPLETE").source())

    return command
