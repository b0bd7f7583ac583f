"""Releases in MLflow: one registered model per alias, one run, one LoggedModel and one version per release id.

The version's source is the artifact's address, and not the LoggedModel's: that would put a folder of MLflow's own
between the version and the weights. Its tag `nexus.logged_model` names the LoggedModel, which lists the version.
What a dead run has left is rolled forward: its run is found by its tag and filled again with the same values, and
of several versions of one release the lowest counts and the others are tagged `nexus.abandoned`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nexus_release.adapters.mlflow_calls import again_where_raced, asking, open_client, or_none, unless_there
from nexus_release.adapters.mlflow_evidence import Surroundings, keep, tags_of
from nexus_release.errors import Conflict
from nexus_release.names import model_slug
from nexus_release.ports import RegisteredVersion, RegistryCopy, RegistryEntry, TaggedVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DESCRIPTION = (
    "Versions are registered by `nexus release`. The aliases follow Git: `<env>` is what an environment serves, "
    "`<env>-canary` what it tries; `nexus mirror` moves them, and moves back what is moved by hand."
)
_PAGE = 500  # registered models in one answer; MLflow gives 1,000 at most


def registered_name(model: str) -> str:
    """MLflow allows neither `/` nor `:` in a name, and reads `@` in `models:/` as an alias; such models go by their
    slug. The alias itself is the tag `nexus.model`."""
    return model_slug(model) if re.search(r"[/:@]", model) else model


class MlflowRegistry:
    def __init__(self, tracking_uri: str, around: Surroundings | None = None) -> None:
        self._uri, self._around = tracking_uri, around or Surroundings()

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        """Raises Unreachable after bounded retries, RegistryRefused for a credential or a right that is wanting,
        Conflict where another model holds the name."""
        with self._asking(f"registering {entry.model} {entry.release[:12]}"):
            name = self._ensure_model(entry.model)
            evidence = again_where_raced(lambda: keep(self._client, entry, self._around))
            if not self._versions(name, entry.release):
                self._client.create_model_version(
                    name,
                    source=_source(entry),
                    run_id=evidence.run,
                    tags={**tags_of(entry), "nexus.logged_model": evidence.logged_model},
                    description=f"Nexus release {entry.release}. Everything behind it: `nexus explain "
                    f"{entry.release[:12]}`",
                    await_creation_for=0,  # a reference is ready at once; nothing is copied
                    model_id=evidence.logged_model,
                )
            versions = self._versions(name, entry.release)
            for late in versions[1:]:
                self._tag(name, late, "nexus.abandoned", f"duplicate of {versions[0]}")
            self._client.set_terminated(evidence.run, "FINISHED")
            return self._version(name, versions[0])

    def find(self, model: str, release: str) -> RegisteredVersion | None:
        name = registered_name(model)
        with self._asking(f"looking for {model} {release[:12]}"):
            versions = self._versions(name, release)
            return self._version(name, versions[0]) if versions else None

    def copy(self, model: str, release: str) -> RegistryCopy | None:
        """The run's file is read into a private folder that goes at once: the server is not trusted with ours."""
        found = self.find(model, release)
        if found is None:
            return None
        with self._asking(f"reading what it has of {model} {release[:12]}"):
            tags = self._client.get_model_version(registered_name(model), str(found.version)).tags
            with tempfile.TemporaryDirectory(prefix="nexus-registry-") as folder:
                path = self._client.download_artifacts(found.run, "content.json", folder)
                content = Path(path).read_bytes()
        return RegistryCopy(found, tags.get("nexus.artifact", ""), tags.get("nexus.dataset", ""), content)

    def tagged(self, model: str, version: int) -> TaggedVersion | None:
        name = registered_name(model)
        with self._asking(f"reading version {version} of {model}"):
            found = or_none(lambda: self._client.get_model_version(name, str(version)))
            if found is None:
                return None
            named = {field: found.tags.get(f"nexus.{field}", "") for field in ("release", "artifact", "commit")}
            return TaggedVersion(version=version, **named)

    def link(self, model: str, version: int, commit: str) -> None:
        with self._asking(f"linking version {version} of {model} to its commit"):
            self._tag(registered_name(model), version, "nexus.commit", commit)

    def _tag(self, name: str, version: int, key: str, value: str) -> None:
        again_where_raced(lambda: self._client.set_model_version_tag(name, str(version), key, value))

    def aliases(self) -> dict[str, dict[str, int]]:
        """Of models with the tag `nexus.model`; other people's are not looked at."""
        with self._asking("reading the aliases"):
            models = ((model.tags.get("nexus.model"), model) for model in self._models())
            ours = ((name, model.aliases) for name, model in models if name and registered_name(name) == model.name)
            # REST gives versions as text, the SQL store as numbers.
            return {name: {alias: int(version) for alias, version in there.items()} for name, there in ours}

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Raises Missing where there is no such version."""
        with self._asking(f"setting the alias {alias} of {model} to version {version}"):
            name = registered_name(model)
            again_where_raced(lambda: self._client.set_registered_model_alias(name, alias, str(version)))

    def drop_alias(self, model: str, alias: str) -> None:
        with self._asking(f"removing the alias {alias} of {model}"):
            or_none(lambda: self._client.delete_registered_model_alias(registered_name(model), alias))

    @cached_property
    def _client(self) -> MlflowClient:
        return open_client(self._uri)

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return asking(self._uri, what)

    def _ensure_model(self, model: str) -> str:
        name = registered_name(model)
        found = or_none(lambda: self._client.get_registered_model(name))
        if found is None:
            unless_there(
                lambda: self._client.create_registered_model(
                    name, tags={"nexus.model": model}, description=_DESCRIPTION
                )
            )
            found = self._client.get_registered_model(name)
        holder = found.tags.setdefault("nexus.model", model)
        if holder != model:
            raise Conflict(f"the registry's model {name} belongs to {holder}, so {model} cannot be registered")
        return name

    def _models(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_registered_models(max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _version(self, name: str, version: int) -> RegisteredVersion:
        found = self._client.get_model_version(name, str(version))
        return RegisteredVersion(
            version=version,
            run=found.run_id,
            uri=f"models:/{name}/{version}",
            logged_model=found.tags.get("nexus.logged_model", ""),
        )

    def _versions(self, name: str, release: str) -> list[int]:
        """Lowest first."""
        found = self._client.search_model_versions(f"name = '{name}' and tag.`nexus.release` = '{release}'")
        return sorted(int(version.version) for version in found)


def _source(entry: RegistryEntry) -> str:
    """What KServe would be given. A server refuses another machine's file paths as a source, rightly, so that a
    local store's address becomes the store's name for the same bytes."""
    if urlsplit(entry.artifact_uri).scheme in ("", "file"):
        return f"nexus-store:///{entry.artifact_digest.replace(':', '/')}"
    return entry.artifact_uri
