"""Which parts of what is state a backup is about, and where they are: the options of `nexus backup` and `restore`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nexus_release.backup.manifest import PARTS
from nexus_release.local.paths import Paths, state_folder
from nexus_release.terminal import plain_line
from nexus_terminal.progress import Progress

if TYPE_CHECKING:
    from nexus_release.backup.taking import Part
    from nexus_release.wiring import Connections

F = TypeVar("F", bound=Callable[..., object])

_MENDS = {
    "mlflow": "give --mlflow-database",
    "artifacts": "give --mlflow-artifacts",
    "users": "give --mlflow-users, where MLflow asks for passwords",
    "redis": "give --redis, where the gateway has one",
    "git": "do not say --without-git",
    "store": "do not say --without-store",
    "signing": "do not say --without-store",
}


def options(command: F) -> F:
    """The options that `nexus backup` and `nexus restore` have in common."""
    for option in reversed(
        (
            click.option(
                "--mlflow-database",
                "database",
                default="",
                envvar="NEXUS_MLFLOW_DATABASE",
                help="As MLflow's --backend-store-uri: sqlite:///PATH or postgresql://...",
            ),
            click.option(
                "--mlflow-artifacts",
                "artifacts",
                type=click.Path(path_type=Path, file_okay=False),
                envvar="NEXUS_MLFLOW_ARTIFACTS",
                help="The folder of MLflow's --artifacts-destination.",
            ),
            click.option(
                "--mlflow-users",
                "users",
                default="",
                envvar="NEXUS_MLFLOW_USERS",
                help="The database of MLflow's passwords, as its database_uri has it.",
            ),
            click.option(
                "--redis",
                default="",
                envvar="NEXUS_REDIS",
                help="redis://... of the gateway's, of a group its leader's.",
            ),
            click.option("--without-git", is_flag=True, help="Leave Git away."),
            click.option("--without-store", is_flag=True, help="Leave the store and its signatures away."),
        )
    ):
        command = option(command)
    return command


def named(**said: Any) -> tuple[Connections, tuple[Part, ...]]:
    """The parts that these options name; those that they do not are told. Raises BadInput."""
    import os

    from nexus_release.backup.taking import Named
    from nexus_release.convergence.places import here
    from nexus_release.errors import BadInput
    from nexus_release.wiring import backup_parts

    connections = here(os.environ)
    database, artifacts = _laptops(os.environ, said["database"], said["artifacts"])
    places = Named(
        database=database,
        artifacts=artifacts,
        users=said["users"],
        redis=said["redis"],
        git=not said["without_git"],
        store=not said["without_store"],
    )
    parts = backup_parts(connections, places)
    if not parts:
        raise BadInput("parts", "none", "name at least one thing that is state")
    there = {part.name for part in parts}
    for name in PARTS:
        if name not in there:
            click.echo(f"{name} is left away: {_MENDS[name]}", err=True)
    return connections, parts


def tell(progress: Progress, line: str) -> None:
    progress.say(plain_line(line), err=True)


def _laptops(environ: Mapping[str, str], database: str, artifacts: Path | None) -> tuple[str, Path | None]:
    """Where neither is named and `nexus up` keeps an MLflow of its own here, that one's."""
    folder = Paths(state_folder(environ)).mlflow
    if database or artifacts or environ.get("MLFLOW_TRACKING_URI"):
        return database, artifacts
    return f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts"
