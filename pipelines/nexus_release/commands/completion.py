"""`nexus completion SHELL`: the shell completion script."""

from __future__ import annotations

import click

from nexus_terminal.completion import completion


def _nexus() -> click.Command:
    from nexus_release.cli import nexus

    return nexus


command = completion("nexus", _nexus)
