"""`nexus promote MODEL`: the canary becomes stable; with --to, a release comes into the next environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click
from click.core import ParameterSource

from nexus_release.commands import arguments
from nexus_release.commands.change import How, carry_out, options

if TYPE_CHECKING:
    from nexus_release.plan_changes import Main, PlanChange
    from nexus_release.ports import Repository


@click.command("promote", epilog="Example: nexus promote pydoc-chat --from dev --to staging")
@click.option(
    "--release", "prefix", default="", callback=arguments.release_prefix,
    help="Beginning of the release id; refused if it is not the one.",
)  # fmt: skip
@click.option(
    "--from", "lower", callback=arguments.some_environment,
    help="Where the release is stable [default: promotion.from of --to].",
)  # fmt: skip
@click.option("--to", "target", callback=arguments.some_environment, help="The environment that it comes into.")
@options
@click.pass_context
def command(
    context: click.Context, model: str, prefix: str, lower: str | None, target: str | None, environment: str,
    **how: Unpack[How],
) -> None:  # fmt: skip
    """Make the canary of MODEL the stable release of --env by one commit. The former one is kept warm.

    With --to, what is stable in the environment below comes into that one: stable where it is the model's first, else
    as canary at weight 0. It must hold the gates of --to, and one of its keys must have signed it.
    """
    from nexus_release.errors import BadInput
    from nexus_release.plan_changes import enter, promote

    if target is None and lower is not None:
        raise BadInput("--from", lower, "say --to too; within one environment, --env names it")
    if target is not None and context.get_parameter_source("environment") is not ParameterSource.DEFAULT:
        raise BadInput("--env", environment, f"--to {target} says it already")

    def decide(main: Main, _: Repository) -> PlanChange:
        if target is not None:
            return enter(main, model, target, lower, prefix)
        return promote(main.plan, model, environment, prefix)

    carry_out(decide, model, target or environment, **how)
