"""The one place that picks adapters. Steps receive a `Tools` and never learn what stands behind its ports."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, MutableMapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nexus_release.errors import BadInput, Missing, NexusError
from nexus_release.frozen import Frozen
from nexus_release.ports import (
    BaseModels,
    Datasets,
    DriftEvents,
    Evaluator,
    Figures,
    Forge,
    Health,
    Quantizer,
    Registry,
    Repository,
    Signatures,
    Signer,
    Store,
    Trainer,
    Weights,
)

if TYPE_CHECKING:
    from nexus_release.adapters.git_seed import Planted
    from nexus_release.backup.taking import Named, Part
    from nexus_release.convergence.seen import Applied
    from nexus_release.convergence.smoke import Asker
    from nexus_release.costs.usage import Machines, Tokens
    from nexus_release.doctor.asking import Services
    from nexus_release.promotion.pull import Pull


class Connections(Frozen):
    """Where the world is, read once from the process environment. Decisions are in Git, addresses are here."""

    work: str
    """NEXUS_WORK: `file://` URI of the folder that holds the store and the results of steps."""
    registry: str
    """MLFLOW_TRACKING_URI."""
    remote: str
    """NEXUS_REMOTE: path or URL of the Git remote."""
    push: str | None = ""
    """NEXUS_PUSH_REMOTE: the same with the credential that may push; empty where `remote` is that already. None for
    who may not push."""
    experiment: str = ""
    """MLFLOW_EXPERIMENT_ID, where an orchestrator has begun a run of its own: ours goes there."""
    parent_run: str = ""
    """MLFLOW_RUN_ID: the orchestrator's run, of which ours becomes a child."""
    forge: str = ""
    """NEXUS_FORGE: github, gitlab or gitea, or none; empty where the remote's host says it."""
    forge_url: str = ""
    """NEXUS_FORGE_URL: where its API is asked; empty where it is the remote's host."""
    forge_token: str = ""
    """NEXUS_FORGE_TOKEN: may open pull requests and read reviews; empty leaves branches without one."""
    airflow_token: str = ""
    """NEXUS_AIRFLOW_TOKEN: bearer token of Airflow's API."""
    signing_key: str | None = ""
    """NEXUS_SIGNING_KEY: path of the private key that signs releases, or its PEM as a Secret gives it; empty for a key
    of this machine's own, made in the work folder when it first signs. None for who may not sign."""
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
            push=environ.get("NEXUS_PUSH_REMOTE", ""),
            experiment=environ.get("MLFLOW_EXPERIMENT_ID", ""),
            parent_run=environ.get("MLFLOW_RUN_ID", ""),
            forge=environ.get("NEXUS_FORGE", ""),
            forge_url=environ.get("NEXUS_FORGE_URL", ""),
            forge_token=environ.get("NEXUS_FORGE_TOKEN", ""),
            airflow_token=environ.get("NEXUS_AIRFLOW_TOKEN", ""),
            signing_key=environ.get("NEXUS_SIGNING_KEY", ""),
            dirty=environ.get("NEXUS_DIRTY") == "1",
        )

    def limited(self, effects: Collection[str]) -> Connections:
        """What a step with these effects is told: no address, and so no credential, of what it does not touch."""
        return self.model_copy(
            update={
                "registry": self.registry
                if {"read:registry", "write:registry", "read:base-model"} & {*effects}
                else "",
                "remote": self.remote if {"read:git", "write:git"} & {*effects} else "",
                "push": self.push if "write:git" in effects else None,
                "forge_token": self.forge_token if "open:pull-request" in effects else "",
                "airflow_token": "",
                "signing_key": self.signing_key if "read:signing-key" in effects else None,
            }
        )


SECRETS: Mapping[str, tuple[str, ...]] = {
    "NEXUS_PUSH_REMOTE": ("write:git",),
    "NEXUS_REMOTE": ("read:git", "write:git"),
    "NEXUS_SIGNING_KEY": ("read:signing-key",),
    **dict.fromkeys(
        ("GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CERT", "GIT_SSL_KEY", "SSH_AUTH_SOCK"),
        ("read:git", "write:git"),
    ),
    **dict.fromkeys(
        ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
        ("read:registry", "write:registry", "read:base-model"),
    ),
    "NEXUS_GATEWAY_KEY": (),
    "NEXUS_AIRFLOW_TOKEN": (),
    "NEXUS_FORGE_TOKEN": ("open:pull-request",),
    "ARGOCD_AUTH_TOKEN": (),
    **dict.fromkeys(("NEXUS_MLFLOW_DATABASE", "NEXUS_MLFLOW_USERS", "NEXUS_REDIS"), ()),
    **dict.fromkeys(("NEXUS_GRAFANA", "NEXUS_GRAFANA_TOKEN", "ELASTIC_PASSWORD"), ()),
    **dict.fromkeys(("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), ("read:base-model",)),
}
"""Variable that carries a credential -> the effects of which one lets a step keep it; none asks gateway, Airflow
or Argo CD, takes a backup, or is a doctor."""


def forget_secrets(environ: MutableMapping[str, str], effects: Collection[str]) -> None:
    """Takes from a step's process what its effects do not need, before it reads a model or a row."""
    for name, needed in SECRETS.items():
        if not {*needed} & {*effects}:
            environ.pop(name, None)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """For a process that is started to render, to serve a model or to keep a registry."""
    left = dict(environ)
    forget_secrets(left, ())
    return left


def _local_registry(home: Path) -> str:
    """Where `nexus up` has put MLflow: port 5000 may be somebody else's."""
    from nexus_release.local.state import read_state

    state = read_state(home)
    return state.registry if state else "http://127.0.0.1:5000"


_PORTS: Mapping[str, tuple[str, ...]] = {
    "store": ("read:store", "write:store"),
    "signatures": ("read:store", "write:store"),
    "datasets": ("read:dataset",),
    "base_models": ("read:base-model",),
    "registry": ("read:registry", "write:registry"),
    **dict.fromkeys(("trainer", "quantizer", "evaluator", "weights"), ("read:store",)),
}
"""Port -> effects that need it, for the ports that steps may share. Repository and signer are made for each step: two
may differ in whether they push or sign."""


class Tools:
    """The ports, each made when a step first asks for it, so that a step pays only for what it uses."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.notes: dict[str, str] = {}
        """What a step wants said in `timings.json` that no other step reads: commits, run ids."""

    def limited(self, effects: Collection[str]) -> Tools:
        """For a step with these effects. A port of something else is not there."""
        tools = Tools(self.connections.limited(effects))
        tools.notes = self.notes
        made = {name: port for name, port in self.__dict__.items() if {*_PORTS.get(name, ())} & {*effects}}
        tools.__dict__.update(made)
        return tools

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
    def signatures(self) -> Signatures:
        from nexus_release.adapters.signatures import FolderSignatures

        return FolderSignatures(self.work / "store", self.work / "signing")

    @cached_property
    def signer(self) -> Signer:
        from nexus_release.adapters.signer import KeySigner

        if self.connections.signing_key is None:
            raise NexusError("this step declares no effect on the signing key, so it is not told of it")
        return KeySigner(self.connections.signing_key, self.work / "signing")

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
    def weights(self) -> Weights:
        from nexus_release.adapters.evaluator import DecodedWeights

        return DecodedWeights()

    @cached_property
    def registry(self) -> Registry:
        from nexus_release.adapters.mlflow_evidence import Surroundings
        from nexus_release.adapters.mlflow_registry import MlflowRegistry

        if not self.connections.registry:
            raise NexusError("this step declares no effect on the registry, so it is not told where it is")
        around = Surroundings(self.connections.experiment, self.connections.parent_run)
        return MlflowRegistry(self.connections.registry, around)

    @cached_property
    def repository(self) -> Repository:
        from nexus_release.adapters.git import GitRepository

        if not self.connections.remote:
            raise NexusError("this step declares no effect on Git, so it is not told where the remote is")
        return GitRepository(self.connections.remote, push=self.connections.push)

    @cached_property
    def forge(self) -> Forge | None:
        """None where the remote is on no forge, or nobody has given a token. Raises BadInput or MissingExtra."""
        from nexus_release.adapters.forges import open_forge

        told = self.connections
        return open_forge(told.push or told.remote, told.forge, told.forge_url, told.forge_token)

    def drift_events(self, url: str) -> DriftEvents:
        from nexus_release.adapters.airflow import AirflowEvents

        return AirflowEvents(url, self.connections.airflow_token)


def open_figures(environ: Mapping[str, str], work: Path) -> Figures:
    """NEXUS_PROMETHEUS where it is set, and otherwise scrapes of every replica of what NEXUS_GATEWAY names, or of this
    machine's own. Raises BadInput, or Missing where there is none of them."""
    from nexus_release.adapters.figures_prometheus import PrometheusFigures
    from nexus_release.adapters.figures_scrapes import ScrapedFigures
    from nexus_release.adapters.prometheus import Prometheus
    from nexus_release.local.paths import state_folder
    from nexus_release.local.state import read_state

    if prometheus := environ.get("NEXUS_PROMETHEUS", ""):
        return PrometheusFigures(Prometheus(prometheus))
    state = read_state(state_folder(environ))
    gateway = environ.get("NEXUS_GATEWAY", "") or (state.gateway if state else "")
    if not gateway:
        raise Missing("no figures to be had: set NEXUS_PROMETHEUS or NEXUS_GATEWAY, or run `nexus up`")
    return ScrapedFigures(gateway, work / "canary")


def health_at(gateway: str, key: str, resolve: Path | None) -> Health:
    """`key` has the scope `admin`."""
    from nexus_release.adapters.http_health import HttpHealth

    return HttpHealth(gateway, key, resolve)


def backup_parts(connections: Connections, named: Named) -> tuple[Part, ...]:
    from nexus_release.adapters.state_parts import parts_of

    return parts_of(named, connections.remote, Tools(connections).work)


def asker_with(key: str, seconds: float) -> Asker:
    """Asks a gateway as any client does; no answer takes longer than `seconds`."""
    from nexus_release.adapters.gateway_asker import HttpAsker

    return HttpAsker(key, seconds)


def services() -> AbstractContextManager[Services]:
    """Whoever `nexus doctor` asks besides gateway and Git."""
    from nexus_release.adapters.service_answers import service_answers

    return service_answers()


def argocd_at(server: str, token: str) -> Applied:
    """As `argocd` has them in ARGOCD_SERVER and ARGOCD_AUTH_TOKEN; the token need only read."""
    from nexus_release.adapters.argocd import ArgoCd

    return ArgoCd(server, token)


def volume(root: Path) -> tuple[Store, Signatures]:
    """The store as a cluster mounts it, and its signatures. Neither is written to."""
    from nexus_release.adapters.signatures import FolderSignatures
    from nexus_release.adapters.store import FolderStore

    return FolderStore(root), FolderSignatures(root, root / "signing")


def merged_pull(checkout: Path, base: str, head: str) -> AbstractContextManager[Pull]:
    from nexus_release.adapters.git_merged import merged

    return merged(checkout, base, head)


def machines_and_tokens(
    prometheus: str, audit: Path | None, environment: str, namespace: str, repository: Repository
) -> tuple[Machines, Tokens]:
    """What a cost report is made of: by a Prometheus where an address is given, else by main's plans; tokens by the
    audit log where a folder is given. Raises BadInput where neither is."""
    from nexus_release.adapters.audited_tokens import AuditedTokens
    from nexus_release.adapters.measured_usage import MeasuredUsage
    from nexus_release.adapters.prometheus import Prometheus
    from nexus_release.costs.planned import PlannedMachines
    from nexus_release.lineage import services

    if prometheus:
        with repository.history() as history:
            measured = MeasuredUsage(Prometheus(prometheus), namespace, services(history))
        return measured, AuditedTokens(audit) if audit else measured
    if audit is None:
        raise BadInput("--prometheus", None, "give its address, or the folder of an audit log by --audit")
    return PlannedMachines(repository, environment), AuditedTokens(audit)


def plant_remote(connections: Connections, checkout: Path) -> Planted:
    """Makes the laptop's remote from the checkout, or brings it up to date with it."""
    from nexus_release.adapters.git_seed import plant
    from nexus_release.renderer import render_with_own_code

    return plant(connections.remote, checkout, render_with_own_code)
