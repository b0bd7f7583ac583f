"""`nexus canary MODEL --weight N`: a share of the traffic for the newer release; `nexus canary step`: by figures."""

from __future__ import annotations

from typing import Any, Unpack

import click

from nexus_release.commands.arguments import release_prefix
from nexus_release.commands.change import How, carry_out, options


class WithStep(click.Command):
    """The word `step` right after `canary` is the command of that name, and not a model."""

    @property
    def words(self) -> dict[str, click.Command]:
        """For the reference of the command line."""
        from nexus_release.commands.canary_step import command as step

        return {"step": step}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["step"]:
            from nexus_release.commands.canary_step import command as step

            return step.make_context(f"{info_name} step", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("canary", cls=WithStep, epilog="Example: nexus canary pydoc-chat --weight 20")
@click.option("--weight", type=int, required=True, help="Percent of the traffic, 0 to 100.")
@click.option(
    "--release", "prefix", default="", callback=release_prefix,
    help="Beginning of the release id; refused if it is not the canary.",
)  # fmt: skip
@options
def command(model: str, weight: int, prefix: str, environment: str, **how: Unpack[How]) -> None:
    """Give the canary of MODEL a share of the traffic by one commit.

    `nexus canary step MODEL` decides by its figures instead: on, back, or not yet. A model that is called `step` is
    named after an option: `nexus canary --weight 20 step`.
    """
    from nexus_release.plan_changes import canary

    carry_out(lambda main, _: canary(main.plan, model, weight, prefix), model, environment, **how)
