"""The one place that picks adapters. Steps receive a `Tools` and never learn what stands behind its ports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen
from nexus_release.ports import BaseModels, Datasets, Evaluator, Quantizer, Registry, Repository, Store, Trainer

if TYPE_CHECKING:
    from nexus_release.adapters.git_seed import Planted


class Connections(Frozen):
    """Where the world is, read once from the process environment. Decisions are in Git, addresses are here."""

    work: str
    """NEXUS_WORK: `file://` URI of the folder that holds the store and the results of steps."""
    registry: str
    """MLFLOW_TRACKING_URI."""
    remote: str
    """NEXUS_REMOTE: path or URL of the Git remote."""
    dirty: bool = False
    """NEXUS_DIRTY=1: the code that runs is not what is committed. Recorded with each release."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, *, state: Path | None = None) -> Connections:
        """Defaults are the laptop's: everything under `.nexus/` in the current folder."""
        home = (state or Path(environ.get("NEXUS_STATE", ".nexus"))).absolute()
        return cls(
            work=environ.get("NEXUS_WORK", home.as_uri()),
            registry=environ.get("MLFLOW_TRACKING_URI") or _local_registry(home),
            remote=environ.get("NEXUS_REMOTE", str(home / "remote.git")),
            dirty=environ.get("NEXUS_DIRTY") == "1",
        )


def _local_registry(home: Path) -> str:
    """Where `nexus up` has put MLflow: port 5000 may be somebody else's."""
    from nexus_release.local.state import read_state

    state = read_state(home)
    return state.registry if state else "http://127.0.0.1:5000"


class Tools:
    """The ports, each made when a step first asks for it, so that a step pays only for what it uses."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.notes: dict[str, str] = {}
        """What a step wants said in `summary.json` that no other step reads: commits, run ids."""

    @cached_property
    def work(self) -> Path:
        """The local folder behind the work URI."""
        parts = urlsplit(self.connections.work)
        if parts.scheme != "file" or parts.netloc:
            raise BadInput("NEXUS_WORK", self.connections.work, "give a file:///absolute/path that all steps share")
        return Path(parts.path)

    @cached_property
    def store(self) -> Store:
        from nexus_release.adapters.store import FolderStore

        return FolderStore(self.work / "store")

    @cached_property
    def datasets(self) -> Datasets:
        from nexus_release.adapters.datasets import UriDatasets

        return UriDatasets()

    @cached_property
    def base_models(self) -> BaseModels:
        from nexus_release.adapters.base_models import UriBaseModels

        return UriBaseModels(self.connections.registry, self.work / "store")

    @cached_property
    def trainer(self) -> Trainer:
        from nexus_release.adapters.trainer import TransformersTrainer

        return TransformersTrainer()

    @cached_property
    def quantizer(self) -> Quantizer:
        from nexus_release.adapters.quantizer import LlmCompressorQuantizer

        return LlmCompressorQuantizer()

    @cached_property
    def evaluator(self) -> Evaluator:
        from nexus_release.adapters.evaluator import CTranslateEvaluator

        return CTranslateEvaluator()

    @cached_property
    def registry(self) -> Registry:
        from nexus_release.adapters.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self.connections.registry)

    @cached_property
    def repository(self) -> Repository:
        from nexus_release.adapters.git import GitRepository

        return GitRepository(self.connections.remote)


def plant_remote(connections: Connections, checkout: Path) -> Planted:
    """Makes the laptop's remote from the checkout, or brings it up to date with it."""
    from nexus_release.adapters.git_seed import plant
    from nexus_release.renderer import render_with_own_code

    return plant(connections.remote, checkout, render_with_own_code)
