"""`nexus rollback MODEL`: back to an earlier release."""

from __future__ import annotations

from typing import Unpack

import click

from nexus_release.commands.arguments import release_prefix
from nexus_release.commands.change import How, carry_out, options


@click.command("rollback", epilog="Example: nexus rollback pydoc-chat")
@click.option(
    "--to", "prefix", default="", callback=release_prefix,
    help="Beginning of the release id [default: the stable one before].",
)  # fmt: skip
@options
def command(model: str, prefix: str, environment: str, **how: Unpack[How]) -> None:
    """Give MODEL the plan that it had when another release was stable, byte for byte, by one commit.

    Without --to it goes to the release before; run again, it goes forward again.
    """
    from nexus_release.plan_changes import rollback

    carry_out(
        lambda main, repository: rollback(repository, main.plan, model, environment, prefix), model, environment, **how
    )
