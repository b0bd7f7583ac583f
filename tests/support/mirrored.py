"""A remote whose releases are in a registry, and an environment that says which commit it serves."""

from __future__ import annotations

from pathlib import Path

from nexus_release.adapters.git import GitRepository
from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.history import revision_at
from nexus_release.mirror import Mirror, mirror
from nexus_release.names import service_name
from nexus_release.plan import Pointer
from nexus_release.ports import RegistryEntry
from nexus_release.record import Record, content_json, release_id

from .releases import make_record, plant_environments
from .remotes import Remote


class Stage:
    """The port `Health`: an environment in which everything of the commits in `serves` answers, but for `silent`."""

    def __init__(self, repository: GitRepository, environment: str = "local") -> None:
        self.serves: tuple[str, ...] = ()
        """One commit for each replica of the gateway; empty follows main."""
        self.silent: set[str] = set()
        """Services whose engines do not answer."""
        self._repository, self._environment = repository, environment

    def revisions(self) -> frozenset[str]:
        with self._repository.history() as history:
            return frozenset(revision_at(history, self._environment, commit) for commit in self.serves or ("HEAD",))

    def answers(self, url: str, model: str) -> bool:
        return not any(f"//{service}-predictor." in url for service in self.silent)


class Mirrored:
    """One model in one registry and one remote."""

    def __init__(self, folder: Path, registry: str, model: str) -> None:
        self.model, self.url = model, registry
        self.remote = Remote(folder, plant_environments)
        self.repository = GitRepository(str(self.remote.path))
        self.registry = MlflowRegistry(registry)
        self.stage = Stage(self.repository)

    def release(self, seed: int) -> Pointer:
        """Registered, and recorded on main."""
        record = make_record(self.model, seed)
        self.registry.register(entry_of(record))
        return self.remote.record(record)

    def mirror(self, environment: str = "local") -> Mirror:
        return mirror(self.repository, self.registry, self.stage, environment)

    def aliases(self) -> dict[str, int]:
        return self.registry.aliases().get(self.model, {})

    def service(self, pointer: Pointer) -> str:
        return service_name(self.model, pointer.release)


def entry_of(record: Record) -> RegistryEntry:
    content = record.content
    return RegistryEntry(
        model=content.model,
        release=release_id(content),
        artifact_uri=f"pvc://nexus-models/{content.artifact.digest.replace(':', '/')}",
        artifact_digest=content.artifact.digest,
        dataset_digest=content.dataset.digest,
        dataset_rows=content.dataset.rows,
        parameters=dict(content.recipe),
        metrics={},
        content=content_json(content).decode(),
    )
