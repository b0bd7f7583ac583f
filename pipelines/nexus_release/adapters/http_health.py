"""Asks an environment's gateway and engines over HTTP how they are, by the addresses that the routes have."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_release.convergence.seen import Replica, Worker
from nexus_release.errors import BadInput, Unreachable
from nexus_release.local.probes import get_json, serves_model

_HTTP_PORT = 80


class HttpHealth:
    """The port `Health`. Where the gateway's name has several addresses each is asked: a headless Service names every
    replica, any other Service one of them."""

    def __init__(self, gateway: str, key: str, resolve: Path | None = None) -> None:
        """`gateway` may be several addresses with commas between. `key` has the scope `admin`. `resolve` is a file as
        the gateway's own `--resolve` has it: `host:port` of a route -> `host:port` to ask in its stead. Raises BadInput
        for a gateway that is no http:// address."""
        self._gateways = gateway.split(",")
        for one in self._gateways:
            if urlsplit(one).scheme != "http" or not urlsplit(one).hostname:
                raise BadInput("NEXUS_GATEWAY", one, "give http://host:port, as it is reached inside the cluster")
        self._key, self._resolve = key, resolve

    def replicas(self) -> tuple[Replica, ...]:
        found = {one.address: one for gateway in self._gateways for one in self._replicas(gateway)}
        return tuple(found[address] for address in sorted(found))

    def revisions(self) -> frozenset[str]:
        found = self.replicas()
        if silent := next((one for one in found if one.problem), None):
            raise Unreachable(f"the gateway at {silent.address}: {silent.problem}")
        return frozenset(worker.revision for one in found for worker in one.workers)

    def answers(self, url: str, model: str) -> bool:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port or _HTTP_PORT}"
        return serves_model(f"http://{self._table().get(host, host)}{parts.path}", model)

    def _replicas(self, gateway: str) -> Iterator[Replica]:
        try:
            found = addresses_of(gateway)
        except OSError as error:
            yield Replica(address=gateway, problem=f"its name leads nowhere: {error}")
            return
        for address in found:
            yield self._replica(address)

    def _replica(self, address: str) -> Replica:
        said = get_json(f"{address}/admin/config", {"Authorization": f"Bearer {self._key}"})
        workers = said.get("workers") if isinstance(said, dict) else None
        if not isinstance(workers, list) or not workers:
            return Replica(
                address=address,
                problem="it does not say what it serves: it is down, or NEXUS_GATEWAY_KEY is no key with the scope "
                "admin",
            )
        silent = said.get("silent_workers")
        return Replica(
            address=address,
            workers=tuple(_worker(one) for one in sorted(workers, key=lambda one: int(one["pid"]))),
            problem=f"{silent} of its workers do not say what they serve" if silent else "",
        )

    def _table(self) -> Mapping[str, str]:
        """Read anew each time: the laptop's changes with every engine. Raises BadInput."""
        if self._resolve is None or not self._resolve.exists():
            return {}
        try:
            table = json.loads(self._resolve.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadInput("--resolve", str(self._resolve), f"give JSON: {error}") from None
        return table if isinstance(table, dict) else {}


def addresses_of(gateway: str) -> list[str]:
    """`http://address:port` of each replica behind an http:// address. Raises OSError where its name leads nowhere."""
    parts = urlsplit(gateway)
    _, _, found = socket.gethostbyname_ex(parts.hostname or "")
    return [f"http://{address}:{parts.port or _HTTP_PORT}" for address in found]


def _worker(said: Mapping[str, Any]) -> Worker:
    refusal = said.get("refusal") or {}
    return Worker(
        pid=int(said["pid"]),
        revision=str(said["revision"]),
        refused=str(refusal.get("revision") or ""),
        reason=str(refusal.get("reason") or ""),
    )
