"""What Argo CD has applied of an environment, over its REST API.

Paths and fields are those of Argo CD 3 (`GET /api/v1/applications`, Application v1alpha1). It only reads: a token of
an account with `applications, get` on the project is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nexus_release.convergence.seen import AppliedPart
from nexus_release.errors import BadInput, NexusError, Unreachable
from nexus_release.manifests.tree import tree_path
from nexus_release.terminal import plain_line

_SECONDS = 30.0  # for one answer
_MAY_PASS = {408, 425, 429}
_SHOWN = 300  # characters of what Argo CD says of a problem
_WELL = {"Healthy", "Progressing"}  # the second is on its way; whether it serves is asked of the gateway itself


class ArgoCd:
    """The port `Applied`. `server` is as `argocd` has it in ARGOCD_SERVER: `host[:port]`, over TLS unless it begins
    with http://. Applications are found by the folder that they sync, whatever they are called."""

    def __init__(self, server: str, token: str) -> None:
        url = server if "://" in server else f"https://{server}"
        if not url.startswith(("http://", "https://")):
            raise BadInput("ARGOCD_SERVER", server, "give host:port, or a URL that begins with https://")
        self._url, self._token = url.rstrip("/"), token

    def parts(self, environment: str) -> tuple[AppliedPart, ...]:
        top = tree_path(environment) + "/"
        found = [
            _part(application, folder.rstrip("/"))
            for application in self._applications()
            for folder in _folders(application)
            if f"{folder.rstrip('/')}/".startswith(top)
        ]
        if not found:
            raise NexusError(
                f"{self._url}: no Application syncs a folder of {top}; apply gitops/argocd/, or give a token that may "
                "see them"
            )
        return tuple(sorted(found, key=lambda part: (part.folder, part.by)))

    def _applications(self) -> list[Mapping[str, Any]]:
        import httpx

        url = f"{self._url}/api/v1/applications"
        try:
            answer = httpx.get(url, headers={"authorization": f"Bearer {self._token}"}, timeout=_SECONDS)
        except httpx.HTTPError as error:
            raise Unreachable(f"ARGOCD_SERVER: {url}: {type(error).__name__}: {error}") from None
        if answer.status_code in _MAY_PASS or answer.is_server_error:
            raise Unreachable(f"{url}: {answer.status_code}")
        if answer.status_code in (401, 403):
            raise NexusError(
                f"{url}: {answer.status_code}; give a token that may get applications by ARGOCD_AUTH_TOKEN"
            )
        try:
            items = answer.json()["items"] if answer.is_success else None
        except (ValueError, KeyError, TypeError):
            items = None
        if not answer.is_success or not isinstance(items, list | None):
            raise NexusError(f"{url}: {answer.status_code} {plain_line(answer.text[:_SHOWN])}; is this Argo CD's API?")
        return items or []  # Go writes an empty list as null


def _folders(application: Mapping[str, Any]) -> Iterator[str]:
    spec = application.get("spec") or {}
    for source in (spec.get("source"), *(spec.get("sources") or ())):
        if source and source.get("path"):
            yield str(source["path"])


def _part(application: Mapping[str, Any], folder: str) -> AppliedPart:
    name = str(application["metadata"]["name"])
    status = application.get("status") or {}
    return AppliedPart(
        by=f"Application {name}",
        folder=folder,
        commit=_commit(status),
        problem=plain_line(_problem(status))[:_SHOWN],
        mend=f"`argocd app get {name}` says why, `argocd app sync {name}` tries again",
        services=tuple(sorted(str(one["name"]) for one in status.get("resources") or () if _runs(one))),
    )


def _commit(status: Mapping[str, Any]) -> str:
    """What the cluster has: the commit that it was last compared with where both are the same, else the one of the last
    sync that succeeded. An Application of several sources has no one commit."""
    sync, operation = status.get("sync") or {}, status.get("operationState") or {}
    if sync.get("status") == "Synced":
        return str(sync.get("revision") or "")
    if operation.get("phase") == "Succeeded":
        return str((operation.get("syncResult") or {}).get("revision") or "")
    return ""


def _problem(status: Mapping[str, Any]) -> str:
    """The first of: a sync that failed, an error of the Application, drift, bad health."""
    sync, operation = status.get("sync") or {}, status.get("operationState") or {}
    health = status.get("health") or {}
    if operation.get("phase") in ("Failed", "Error"):
        return f"its last sync failed: {operation.get('message') or 'without a reason'}"
    for condition in status.get("conditions") or ():
        if str(condition.get("type", "")).endswith("Error"):
            return f"{condition['type']}: {condition.get('message', '')}"
    if sync.get("status") not in ("Synced", None):
        return f"the cluster is not as its commit says: {sync['status']}"
    if health.get("status") and health["status"] not in _WELL:
        return f"it is {health['status']}: {health.get('message') or 'without a reason'}"
    return ""


def _runs(resource: Mapping[str, Any]) -> bool:
    """A release that is there; one that Git no longer names is there until it is pruned."""
    there = (resource.get("health") or {}).get("status") != "Missing"
    return resource.get("kind") in ("InferenceService", "LLMInferenceService") and there
