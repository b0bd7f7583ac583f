"""`nexus canary MODEL --weight N`: a share of the traffic for the newer release."""

from __future__ import annotations

from typing import Unpack

import click

from nexus_release.commands.arguments import release_prefix
from nexus_release.commands.change import How, carry_out, options


@click.command("canary", epilog="Example: nexus canary pydoc-chat --weight 20")
@click.option("--weight", type=int, required=True, help="Percent of the traffic, 0 to 100.")
@click.option(
    "--release", "prefix", default="", callback=release_prefix,
    help="Beginning of the release id; refused if it is not the canary.",
)  # fmt: skip
@options
def command(model: str, weight: int, prefix: str, environment: str, **how: Unpack[How]) -> None:
    """Give the canary of MODEL a share of the traffic by one commit."""
    from nexus_release.plan_changes import canary

    carry_out(lambda main, _: canary(main.plan, model, weight, prefix), model, environment, **how)
