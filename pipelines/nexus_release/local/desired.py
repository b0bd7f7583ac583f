"""What a commit wants on this machine: read from its rendered tree and its plans, and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_release.digests import Digest
from nexus_release.documents import parse_yaml
from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen
from nexus_release.manifests.objects import MODEL, RELEASE
from nexus_release.revisions import routes_revision

ENVIRONMENT = "local"
_STORAGE = re.compile(r"^[a-z0-9]+://.+/sha256/([0-9a-f]{64})$")
_HTTP_PORT = 80  # of KServe's Services, and of a URL without one


class DesiredEngine(Frozen):
    """One InferenceService. Two that are equal need no restart."""

    service: str
    model: str
    release: str
    artifact: Digest
    runtime: str
    args: tuple[str, ...]


class Desired(Frozen):
    commit: str
    engines: tuple[DesiredEngine, ...]
    routes: Mapping[str, bytes]
    """File name -> bytes, as they go into the gateway's folder."""
    hosts: Mapping[str, str]
    """Service -> `host:port` by which the routes call it."""

    @property
    def revision(self) -> str:
        return routes_revision(self.routes)


def read_desired(tree: Path, commit: str) -> Desired:
    """Reads a checkout. Raises BadInput that names the file and the field."""
    rendered = tree / "gitops" / ENVIRONMENT
    routes = {path.name: path.read_bytes() for path in sorted(rendered.glob("gateway/routes.d/*.yaml"))}
    return Desired(
        commit=commit,
        engines=tuple(_engines(rendered)),
        routes=routes,
        hosts={service: host for name, data in routes.items() for service, host in hosts_of(data, name).items()},
    )


def _engines(rendered: Path) -> Iterator[DesiredEngine]:
    for path in sorted(rendered.glob("*/*.yaml")):
        where = path.relative_to(rendered.parent.parent).as_posix()
        document = parse_yaml(path.read_bytes(), where)
        if isinstance(document, dict) and document.get("kind") == "InferenceService":
            yield engine_of(document, where)


def engine_of(service: Mapping[str, Any], where: str) -> DesiredEngine:
    """Raises BadInput for an InferenceService that this machine cannot stand in for."""
    annotations = _at(service, where, "metadata", "annotations")
    model = _at(service, where, "spec", "predictor", "model")
    uri = _at(model, where, "storageUri")
    storage = _STORAGE.match(str(uri))
    if storage is None:
        raise BadInput(f"{where}: storageUri", uri, "give SCHEME://PLACE/sha256/DIGEST, which the store here knows")
    return DesiredEngine(
        service=_at(service, where, "metadata", "name"),
        model=_at(annotations, where, MODEL),
        release=_at(annotations, where, RELEASE),
        artifact=f"sha256:{storage[1]}",
        runtime=_at(model, where, "runtime"),
        args=tuple(model.get("args", ())),
    )


def hosts_of(data: bytes, where: str) -> dict[str, str]:
    """Upstream -> `host:port`, of one route file."""
    document = parse_yaml(data, where)
    upstreams = document.get("upstreams", {}) if isinstance(document, dict) else {}
    found = {}
    for name, upstream in upstreams.items():
        url = urlsplit(str(_at(upstream, f"{where}: upstreams.{name}", "url")))
        if url.scheme == "http" and url.hostname:
            found[name] = f"{url.hostname}:{url.port or _HTTP_PORT}"
    return found


def _at(value: Any, where: str, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise BadInput(where, value, f"{key} is missing; render the tree anew")
        value = value[key]
    return value
