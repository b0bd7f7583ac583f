"""Asks an environment's gateway and engines over HTTP how they are, by the addresses that the routes have."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from nexus_release.errors import BadInput, Unreachable
from nexus_release.local.probes import get_json, serves_model

_HTTP_PORT = 80


class HttpHealth:
    """The port `Health`. Where the gateway's name has several addresses each is asked: a headless Service names every
    replica, any other Service one of them."""

    def __init__(self, gateway: str, key: str, resolve: Path | None = None) -> None:
        """`key` has the scope `admin`. `resolve` is a file as the gateway's own `--resolve` has it: `host:port` of a
        route -> `host:port` to ask in its stead. Raises BadInput for a gateway that is no http:// address."""
        if urlsplit(gateway).scheme != "http" or not urlsplit(gateway).hostname:
            raise BadInput("NEXUS_GATEWAY", gateway, "give http://host:port, as it is reached inside the cluster")
        self._gateway, self._key, self._resolve = gateway, key, resolve

    def revisions(self) -> frozenset[str]:
        return frozenset(revision for address in self._replicas() for revision in self._revisions(address))

    def answers(self, url: str, model: str) -> bool:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port or _HTTP_PORT}"
        return serves_model(f"http://{self._table().get(host, host)}", model)

    def _revisions(self, address: str) -> list[str]:
        """One for each worker of the replica."""
        said = get_json(f"{address}/admin/config", {"Authorization": f"Bearer {self._key}"})
        workers = said.get("workers") if isinstance(said, dict) else None
        if not isinstance(workers, list):
            raise Unreachable(
                f"the gateway at {address} does not say what it serves: it is down, or NEXUS_GATEWAY_KEY is no key "
                "with the scope admin"
            )
        if silent := said.get("silent_workers"):
            raise Unreachable(f"the gateway at {address}: {silent} of its workers do not say what they serve")
        return [str(worker["revision"]) for worker in workers]

    def _replicas(self) -> list[str]:
        parts = urlsplit(self._gateway)
        try:
            _, _, found = socket.gethostbyname_ex(parts.hostname or "")
        except OSError as error:
            raise Unreachable(f"NEXUS_GATEWAY: {self._gateway}: {error}") from None
        return sorted(f"http://{address}:{parts.port or _HTTP_PORT}" for address in found)

    def _table(self) -> Mapping[str, str]:
        """Read anew each time: the laptop's changes with every engine. Raises BadInput."""
        if self._resolve is None or not self._resolve.exists():
            return {}
        try:
            table = json.loads(self._resolve.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadInput("--resolve", str(self._resolve), f"give JSON: {error}") from None
        return table if isinstance(table, dict) else {}
