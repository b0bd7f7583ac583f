"""`nexus release FILE`: from data to a proposal, on this machine."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments

if TYPE_CHECKING:
    from nexus_release.release import Listener


@click.command("release", epilog="Example: nexus release pipelines/specs/pydoc-chat.yaml --env local")
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--env", "environment", default="local", show_default=True, callback=arguments.environment,
    help="Environment that it is proposed for.",
)  # fmt: skip
@click.option("--dataset", help="URI that stands in for the file's `dataset`.")
@click.option(
    "--reason", metavar="DIGEST", help="The drift report that asks for it; then drift is no reason to refuse."
)
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(spec: Path, environment: str, dataset: str | None, reason: str | None, root: Path, as_json: bool) -> None:
    """Run the release that SPEC describes. Ends with 3 where a gate refuses it."""
    from nexus_release.errors import GateRefused
    from nexus_release.release import run_release
    from nexus_release.spec import Ask, asked_for
    from nexus_release.wiring import Connections, Tools

    tools = Tools(Connections.from_environment())
    asked = asked_for(spec, Ask(root, environment, lambda: tools.repository, dataset, reason))
    logging.basicConfig(level=logging.WARNING, format="  %(message)s")
    logging.getLogger("nexus").setLevel(logging.INFO)
    done = run_release(asked, tools, None if as_json else told())
    if as_json:
        click.echo(json.dumps(json.loads(done.summary.read_text()), indent=2))
    else:
        click.echo(f"summary: {done.summary}")
    if done.outcome == "refused":
        raise GateRefused(done.reason)


def told() -> Listener:
    from nexus_release.release import Listener, StepDone

    def ended(step: StepDone) -> None:
        click.echo(f"{step.name}: {'unchanged, reused' if step.reused else f'{step.seconds:.1f} s'}")

    return Listener(started=lambda name: click.echo(f"{name} ...", err=True), done=ended)
