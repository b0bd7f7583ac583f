"""Releases in MLflow: one registered model per alias, one run and one version per release id.

The version points straight at the artifact's address, not at a LoggedModel: an external LoggedModel would put a
folder of its own between the version and the weights, and its download address would be that folder.
What a dead run has left is rolled forward: its run is found by its tag and filled again with the same values, and
of several versions of one release the lowest counts and the others are tagged `nexus.abandoned`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from nexus_release.errors import Conflict, Missing, NexusError, Unreachable
from nexus_release.names import model_slug
from nexus_release.ports import RegisteredVersion, RegistryCopy, RegistryEntry, TaggedVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CLIENT_SETTINGS: Mapping[str, str] = {
    # Three tries with 0, 2 and 4 s between them: a dead server is known in seconds, a restart is bridged.
    # A step has retries of its own above these.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # seconds; the SQLite store answers within one
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Set where the user has not set them, before MLflow reads them."""

_PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_DATASET_DIGEST_LIMIT = 36  # characters, by MLflow's schema; the whole digest is in the tag
_PAGE = 500  # registered models in one answer; MLflow gives 1,000 at most

T = TypeVar("T")


def registered_name(model: str) -> str:
    """MLflow allows neither `/` nor `:` in a name, and reads `@` in `models:/` as an alias; such models go by their
    slug. The alias itself is the tag `nexus.model`."""
    return model_slug(model) if re.search(r"[/:@]", model) else model


class MlflowRegistry:
    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        """Raises Unreachable after bounded retries, Conflict where another model holds the name."""
        with self._asking(f"registering {entry.model} {entry.release[:12]}"):
            name = self._ensure_model(entry.model)
            run = self._fill_run(entry)
            if not self._versions(name, entry.release):
                self._client.create_model_version(
                    name,
                    source=_source(entry),
                    run_id=run,
                    tags=_version_tags(entry),
                    description=f"Nexus release {entry.release}",
                    await_creation_for=0,  # a reference is ready at once; nothing is copied
                )
            versions = self._versions(name, entry.release)
            for late in versions[1:]:
                self._client.set_model_version_tag(name, str(late), "nexus.abandoned", f"duplicate of {versions[0]}")
            self._client.set_terminated(run, "FINISHED")
            return RegisteredVersion(version=versions[0], run=run, uri=f"models:/{name}/{versions[0]}")

    def find(self, model: str, release: str) -> RegisteredVersion | None:
        name = registered_name(model)
        with self._asking(f"looking for {model} {release[:12]}"):
            versions = self._versions(name, release)
            if not versions:
                return None
            run = self._client.get_model_version(name, str(versions[0])).run_id
            return RegisteredVersion(version=versions[0], run=run, uri=f"models:/{name}/{versions[0]}")

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
            found = self._or_none(lambda: self._client.get_model_version(name, str(version)))
            if found is None:
                return None
            tags = found.tags
            return TaggedVersion(
                version=version, release=tags.get("nexus.release", ""), artifact=tags.get("nexus.artifact", "")
            )

    def aliases(self) -> dict[str, dict[str, int]]:
        """Of models with the tag `nexus.model`; other people's are not looked at."""
        with self._asking("reading the aliases"):
            ours = ((model.tags.get("nexus.model"), model.aliases) for model in self._models())
            # REST gives versions as text, the SQL store as numbers.
            return {name: {alias: int(version) for alias, version in there.items()} for name, there in ours if name}

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Raises Missing where there is no such version."""
        with self._asking(f"setting the alias {alias} of {model} to version {version}"):
            self._client.set_registered_model_alias(registered_name(model), alias, str(version))

    def drop_alias(self, model: str, alias: str) -> None:
        with self._asking(f"removing the alias {alias} of {model}"):
            self._or_none(lambda: self._client.delete_registered_model_alias(registered_name(model), alias))

    @cached_property
    def _client(self) -> MlflowClient:
        for key, value in _CLIENT_SETTINGS.items():
            os.environ.setdefault(key, value)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def _ensure_model(self, model: str) -> str:
        name = registered_name(model)
        found = self._or_none(lambda: self._client.get_registered_model(name))
        if found is None:
            self._unless_there(lambda: self._client.create_registered_model(name, tags={"nexus.model": model}))
            found = self._client.get_registered_model(name)
        holder = found.tags.setdefault("nexus.model", model)
        if holder != model:
            raise Conflict(f"the registry's model {name} belongs to {holder}, so {model} cannot be registered")
        return name

    def _experiment(self, model: str) -> str:
        found = self._client.get_experiment_by_name(model)
        if found is None:
            self._unless_there(lambda: self._client.create_experiment(model))
            found = self._client.get_experiment_by_name(model)
        return str(found.experiment_id)

    def _fill_run(self, entry: RegistryEntry) -> str:
        """Every value is the same each time, so filling a run again changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

        experiment = self._experiment(entry.model)
        kept = self._client.search_runs(
            [experiment],
            f"tags.`nexus.release` = '{entry.release}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        run = (
            kept[0]
            if kept
            else self._client.create_run(experiment, tags=_version_tags(entry), run_name=entry.release[:12])
        )
        run_id, started = run.info.run_id, run.info.start_time
        digest = entry.dataset_digest.removeprefix("sha256:")
        dataset = Dataset(
            name=f"{entry.model} dataset",
            digest=digest[:_DATASET_DIGEST_LIMIT],
            source_type="nexus",
            source=json.dumps({"digest": entry.dataset_digest}),
        )
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, started, 0) for key, value in entry.metrics.items()],
            params=[Param(key, value) for key, value in entry.parameters.items()],
        )
        self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self._client.log_text(run_id, entry.content, "content.json")
        return str(run_id)

    def _models(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_registered_models(max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _versions(self, name: str, release: str) -> list[int]:
        """Lowest first."""
        found = self._client.search_model_versions(f"name = '{name}' and tag.`nexus.release` = '{release}'")
        return sorted(int(version.version) for version in found)

    def _or_none(self, ask: Callable[[], T]) -> T | None:
        return self._tolerate("RESOURCE_DOES_NOT_EXIST", ask)

    def _unless_there(self, make: Callable[[], object]) -> None:
        """Another process may make the same thing at the same time; both mean one thing."""
        self._tolerate("RESOURCE_ALREADY_EXISTS", make)

    @staticmethod
    def _tolerate(code: str, call: Callable[[], T]) -> T | None:
        from mlflow.exceptions import MlflowException

        try:
            return call()
        except MlflowException as error:
            if error.error_code != code:
                raise
            return None

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Says in our own errors what went wrong. Closed: nothing is registered by halves, a later call goes on."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            yield
        except MlflowException as error:
            raise _ours(error.error_code)(f"{what} at {self._uri}: {_first_line(error)}") from error
        except RequestException as error:
            status = getattr(error.response, "status_code", 503)
            kind = Unreachable if status >= 500 else NexusError
            raise kind(f"{what} at {self._uri}: {_first_line(error)}") from error


def _ours(code: str) -> type[NexusError]:
    if code == "RESOURCE_DOES_NOT_EXIST":
        return Missing
    return Unreachable if code in _PASSING else NexusError


def _source(entry: RegistryEntry) -> str:
    """What KServe would be given. A server refuses another machine's file paths as a source, rightly, so that a
    local store's address becomes the store's name for the same bytes."""
    if urlsplit(entry.artifact_uri).scheme in ("", "file"):
        return f"nexus-store:///{entry.artifact_digest.replace(':', '/')}"
    return entry.artifact_uri


def _version_tags(entry: RegistryEntry) -> dict[str, Any]:
    return {
        "nexus.model": entry.model,
        "nexus.release": entry.release,
        "nexus.artifact": entry.artifact_digest,
        "nexus.artifact_uri": entry.artifact_uri,
        "nexus.dataset": entry.dataset_digest,
    }


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
