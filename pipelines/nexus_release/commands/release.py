"""`nexus release FILE`: from data to a proposal, on this machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments
from nexus_terminal.progress import Progress

if TYPE_CHECKING:
    from nexus_release.graph import ReleaseParams
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
@click.option("--dry-run", is_flag=True, help="Read everything that is asked for, and say which steps would run.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    spec: Path,
    environment: str,
    dataset: str | None,
    reason: str | None,
    root: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the release that SPEC describes. Ends with 3 where a gate refuses it.

    A run that was cut off goes on where it was: a step whose code and input are unchanged is reused.
    """
    from nexus_release.errors import GateRefused
    from nexus_release.release import run_release
    from nexus_release.spec import Ask, asked_for
    from nexus_release.wiring import Connections, Tools

    tools = Tools(Connections.from_environment())
    asked = asked_for(spec, Ask(root, environment, lambda: tools.repository, dataset, reason))
    if dry_run:
        click.echo(asked.model_dump_json(indent=2) if as_json else "\n".join(_would_run(asked)))
        return
    logging.basicConfig(level=logging.WARNING, format="  %(message)s")
    logging.getLogger("nexus").setLevel(logging.INFO)
    with Progress() as progress:
        done = run_release(asked, tools, told(progress, quiet=as_json))
    if as_json:
        click.echo(json.dumps(json.loads(done.summary.read_text()), indent=2))
    else:
        click.echo(f"summary: {done.summary}")
    if done.outcome == "refused":
        raise GateRefused(done.reason)


def told(progress: Progress, *, quiet: bool) -> Listener:
    """A line for each step that has ended, unless `quiet`; what is under way is a person's to see."""
    from nexus_release.release import Listener, StepDone

    def ended(step: StepDone) -> None:
        progress.on("")
        if not quiet:
            progress.say(f"{step.name}: {'unchanged, reused' if step.reused else f'{step.seconds:.1f} s'}")

    return Listener(started=progress.on, done=ended)


def _would_run(asked: ReleaseParams) -> Iterator[str]:
    from nexus_release.graph import NODES

    yield f"{asked.model} for {asked.environment}, of {asked.dataset}, by {asked.quantize.scheme}"
    for name, node in NODES.items():
        writes = ", ".join(effect.partition(":")[2] for effect in node.step.effects if not effect.startswith("read:"))
        yield f"  {name:10} {f'writes to {writes}' if writes else 'changes nothing'}"
