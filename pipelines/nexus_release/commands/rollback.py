"""`nexus rollback MODEL`: back to an earlier release."""

from __future__ import annotations

import click

from nexus_release.commands.arguments import release_prefix
from nexus_release.commands.change import carry_out, options


@click.command("rollback", epilog="Example: nexus rollback pydoc-chat")
@click.option(
    "--to", "prefix", default="", callback=release_prefix,
    help="Beginning of the release id [default: the stable one before].",
)  # fmt: skip
@options
def command(model: str, prefix: str, environment: str, remote: str | None, dry_run: bool, as_json: bool) -> None:
    """Give MODEL the plan that it had when another release was stable, byte for byte, by one commit.

    Without --to it goes to the release before; run again, it goes forward again.
    """
    from nexus_release.plan_changes import rollback

    carry_out(
        lambda main, repository: rollback(repository, main.plan, model, environment, prefix),
        model, environment, remote, dry_run, as_json,
    )  # fmt: skip
