"""`nexus params FILE`: what a release is asked for, as every engine takes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments

if TYPE_CHECKING:
    from nexus_release.step import Effect
    from nexus_release.wiring import Tools

EFFECTS: tuple[Effect, ...] = ("read:git",)  # what is stable; and with --from-main all that is read


@click.command("params", epilog="Example: nexus params pipelines/specs/pydoc-chat.yaml --env staging")
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--env", "environment", default="local", show_default=True, callback=arguments.environment,
    help="Environment that it is proposed for.",
)  # fmt: skip
@click.option("--dataset", help="URI that stands in for the file's `dataset`; {day} in it is --day.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Day of the dataset.")
@click.option(
    "--reason", metavar="DIGEST", help="The drift report that asks for it; then drift is no reason to refuse."
)
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
@click.option(
    "--from-main", is_flag=True,
    help="Read SPEC and the environment from main of the remote, which NEXUS_REMOTE names, and nothing from --root.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write to, instead of the screen.")
def command(
    spec: Path,
    environment: str,
    dataset: str | None,
    day: datetime | None,
    reason: str | None,
    root: Path,
    from_main: bool,
    out: Path | None,
) -> None:
    """Print the release that SPEC describes, with the gates of its environment, as one line of JSON.

    What is stable there is asked of the remote, whose dataset the new one is held against.
    """
    from nexus_release.journal import write_whole
    from nexus_release.spec import Ask, asked_for, of_the_day
    from nexus_release.wiring import Connections, Tools

    of_day = of_the_day(dataset, day.date() if day else None) if dataset else None
    tools = Tools(Connections.from_environment()).limited(EFFECTS)
    with _main(tools) if from_main else nullcontext(root) as place:
        ask = Ask(place, environment, lambda: tools.repository, of_day, reason)
        asked = asked_for(_of_main(place, spec) if from_main else spec, ask)
    text = _without_tags(asked.model_dump_json())
    if out:
        write_whole(out, text)
    else:
        click.echo(text)


def _without_tags(text: str) -> str:
    """The same JSON. Argo Workflows, on which Kubeflow Pipelines runs too, fills `{{...}}` in a parameter's value as in
    a template; only within a string of JSON can two braces open together."""
    return text.replace("{{", r"{\u007b")


def _of_main(main: Path, spec: Path) -> Path:
    """Whoever asks by a path chooses a file of main, and no other of the machine: an error shows what is in it."""
    from nexus_release.errors import BadInput

    if not (main / spec).resolve().is_relative_to(main.resolve()):
        raise BadInput("SPEC", str(spec), "name a file of main by its path from the repository's root")
    return main / spec


@contextmanager
def _main(tools: Tools) -> Iterator[Path]:
    """A checkout of the remote's main, for as long as it is read."""
    from nexus_release.wiring import forget_secrets

    forget_secrets(os.environ, EFFECTS)
    with tempfile.TemporaryDirectory(prefix="nexus-main-") as folder:
        tools.repository.checkout(Path(folder))
        yield Path(folder)
