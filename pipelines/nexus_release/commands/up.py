"""`nexus up`: this machine as the cluster."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_terminal.progress import Progress


@click.command("up", epilog="Example: nexus up --wait-commit $(git --git-dir .nexus/remote.git rev-parse main)")
@click.option("--foreground", is_flag=True, help="Stay in the terminal and log there; end with Ctrl-C.")
@click.option("--wait-commit", metavar="HASH", help="Return when this commit is applied.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON.")
def command(foreground: bool, wait_commit: str | None, root: Path, as_json: bool) -> None:
    """Start MLflow, the gateway, and an engine for each InferenceService of the remote's main, and follow main.

    Returns when all answer and main is applied. Ends with 1 where it cannot be, and what ran before runs on.
    """
    import os

    from nexus_release.local.paths import state_folder

    home = state_folder(os.environ)
    if foreground:
        _stay(home, root)
        return
    from nexus_release.errors import NexusError
    from nexus_release.local.control import ensure_up, wait_applied

    with Progress("MLflow, gateway and engines come up") as progress:
        state = ensure_up(home, root)
        if wait_commit:
            progress.on(f"{wait_commit[:12]} is applied")
            state = wait_applied(home, wait_commit)
    if as_json:
        click.echo(state.model_dump_json(indent=2))
    else:
        click.echo(f"gateway   {state.gateway}   key dev-key\nregistry  {state.registry}\nremote    {state.remote}")
        for engine in state.engines:
            click.echo(f"engine    {engine.address}   {engine.service}")
    if state.last_problem:
        raise NexusError(state.last_problem)


def _stay(home: Path, root: Path) -> None:
    import logging
    import os
    import sys

    from nexus_release.local.supervise import supervise

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("nexus").setLevel(logging.INFO)
    supervise(home, root, os.environ)
