"""A program of several words: its help in sections, the nearest word for one that there is not, and how it ends."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

import click

HELP = {"help_option_names": ["-h", "--help"]}
Ending = Callable[[Exception], "tuple[str, int] | None"]
"""An error -> what is said of it, and the exit status; None for one that nobody expects and that wants its
traceback."""


class Program(click.Group):
    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, str]] | None = None,
        folder: str = "",
        **settings: Any,
    ) -> None:
        """`sections`: title -> word -> help line, in this order. Words that are not added are modules of the package
        `folder`, each with a `command`, and are imported when they are called: help imports none of them."""
        settings.setdefault("context_settings", HELP)
        super().__init__(*args, **settings)
        self.sections: Mapping[str, Mapping[str, str]] = sections or {}
        self.folder = folder

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [word for section in self.sections.values() for word in section] or super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is not None or not self.folder or cmd_name not in self.list_commands(ctx):
            return found
        return cast(click.Command, importlib.import_module(f"{self.folder}.{cmd_name.replace('-', '_')}").command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:  # click knows only the words that were added
            raise click.exceptions.NoSuchCommand(args[0], possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.sections:
            super().format_commands(ctx, formatter)
        for title, words in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(list(words.items()), col_max=14)


def run(program: click.Command, name: str, ending: Ending) -> NoReturn:
    """Ends with what the command says, 2 for words that were not understood, 130 where a person stopped it. Colours
    are for a terminal, and not where NO_COLOR is set."""
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        sys.exit(program.main(standalone_mode=False, color=colour))  # click returns the status of an Exit
    except click.Abort:
        click.echo(f"{name}: stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # the boundary of the program
        told = ending(error)
        if told is None:
            raise
        said, status = told
        click.echo(f"{name}: {said}", err=True)
        sys.exit(status)
