"""`nexus params FILE`: what a release is asked for, as every engine takes it."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_release.commands import arguments


@click.command("params", epilog="Example: nexus params pipelines/specs/pydoc-chat.yaml --env staging")
@click.argument("spec", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--env", "environment", default="local", show_default=True, callback=arguments.environment,
    help="Environment that it is proposed for.",
)  # fmt: skip
@click.option("--dataset", help="URI that stands in for the file's `dataset`.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
def command(spec: Path, environment: str, dataset: str | None, root: Path) -> None:
    """Print the release that SPEC describes, with the gates of its environment, as one line of JSON."""
    from nexus_release.spec import asked_for

    click.echo(asked_for(spec, root, environment, dataset).model_dump_json())
