"""`nexus promote MODEL`: the canary becomes stable."""

from __future__ import annotations

import click

from nexus_release.commands.arguments import release_prefix
from nexus_release.commands.change import carry_out, options


@click.command("promote", epilog="Example: nexus promote pydoc-chat")
@click.option(
    "--release", "prefix", default="", callback=release_prefix,
    help="Beginning of the release id; refused if it is not the canary.",
)  # fmt: skip
@options
def command(model: str, prefix: str, environment: str, remote: str | None, dry_run: bool, as_json: bool) -> None:
    """Make the canary of MODEL the stable release by one commit. The former one is kept warm."""
    from nexus_release.plan_changes import promote

    carry_out(
        lambda repository, plan: promote(plan, model, environment, prefix), model, environment, remote, dry_run, as_json
    )
