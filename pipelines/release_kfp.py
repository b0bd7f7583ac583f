"""The release as a pipeline of Kubeflow Pipelines: compile it, run it here, or upload it to a server.

Run by the Python of .venv-kfp: `python pipelines/release_kfp.py compile --env dev`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from nexus_kfp.compiled import intermediate_text, kubernetes_text
from nexus_kfp.pipeline import release_pipeline
from nexus_kfp.places import Cluster
from nexus_kfp.running import run_here
from nexus_kfp.server import Server, upload
from nexus_release.config import load_settings
from nexus_release.errors import NexusError
from nexus_release.wiring import Connections

ROOT = Path(__file__).resolve().parent.parent

environment = click.option("--env", "environment", default="dev", show_default=True, help="Environment of the pods.")
root = click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=ROOT, help="The repository.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def release_kfp() -> None:
    """The release as a Kubeflow pipeline."""


@release_kfp.command("compile")
@environment
@root
@click.option("--kubernetes", is_flag=True, help="As the objects Pipeline and PipelineVersion.")
def compile_pipeline(environment: str, root: Path, kubernetes: bool) -> None:
    """Print the compiled pipeline."""
    try:
        pipeline = release_pipeline(Cluster(load_settings(root, environment)))
    except NexusError as error:
        _end(error)
    click.echo(kubernetes_text(pipeline) if kubernetes else intermediate_text(pipeline), nl=False)


@release_kfp.command("run")
@click.argument("params", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path(".nexus/kfp"), show_default=True)
def run(params: Path, into: Path) -> None:
    """Run the release whose parameters are in the file PARAMS (`nexus params`) on this machine."""
    try:
        run_here(params.read_text(encoding="utf-8").strip(), Connections.from_environment().work, into)
    except RuntimeError as error:
        click.echo(f"release_kfp: {error}", err=True)
        sys.exit(1)


@release_kfp.command("upload")
@environment
@root
def upload_pipeline(environment: str, root: Path) -> None:
    """Upload the pipeline to the server at KFP_HOST, with KFP_TOKEN as its bearer token and KFP_NAMESPACE where it has
    several users. What is there already is left as it is."""
    try:
        intermediate = intermediate_text(release_pipeline(Cluster(load_settings(root, environment))))
        done = upload(intermediate, Server.from_environment(os.environ))
    except NexusError as error:
        _end(error)
    click.echo(f"{done.name}: {'uploaded' if done.new else 'there already'}")
    click.echo(f"pipeline {done.pipeline}, version {done.version}")


def _end(error: NexusError) -> NoReturn:
    click.echo(f"release_kfp: {error}", err=True)
    sys.exit(error.exit_status)


if __name__ == "__main__":
    release_kfp()
