"""Where the pods of headless Services are: each name is asked again and again, in a thread, apart from all requests.

Open: a name that leads nowhere, or that nobody answers for, keeps the addresses that it had; an engine that is gone is
found out by its breaker. Pods that are not ready are not in a headless Service's answer, unless it says so itself."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from urllib.parse import urlsplit

from prometheus_client.core import Metric

from nexus_gateway.routes import Addresses, Upstream
from nexus_gateway.telemetry import families

LOOK_SECONDS = 2.0
"""Between two questions. Cluster DNS answers from its own memory for up to 30 seconds, 5 as most are set."""
_WAITING_SECONDS = 0.2  # while there are names that have not been asked yet

Lookup = Callable[[str, int], Collection[str]]
"""(host, port) -> `address:port` of each. Raises OSError."""


def addresses_of(host: str, port: int) -> Collection[str]:
    """By the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = {str(place[0]) for *_, place in found}
    return {f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses}


class ServiceNames:
    """`addresses` is swapped whole, and read by whoever builds a snapshot."""

    def __init__(self, lookup: Lookup = addresses_of) -> None:
        self._lookup = lookup
        self.wanted: Callable[[], Collection[str]] = tuple
        """URLs of the Services that are served now."""
        self.addresses: Addresses = {}
        self.failed: Collection[str] = ()
        """Those whose last question had no answer."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="nexus-names", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits for nobody: a resolver may take a quarter of a minute over a name."""
        self._stop.set()

    def metrics(self, upstreams: Iterable[Upstream]) -> Iterator[Metric]:
        of_services = [one for one in upstreams if one.service]
        known, failed = self.addresses, self.failed
        yield families.SERVICE_ENDPOINTS.told({(one.name,): len(known.get(one.service, ())) for one in of_services})
        yield families.SERVICE_UNRESOLVED.told({(one.name,): one.service in failed for one in of_services})

    def look(self) -> None:
        """Asks for each name once."""
        found, failed = {}, []
        for url in sorted(self.wanted()):
            parts = urlsplit(url)
            try:
                addresses = self._lookup(parts.hostname or "", parts.port or 0)
            except OSError:
                addresses = ()
            if addresses:
                found[url] = tuple(sorted(addresses))
            else:
                failed.append(url)
                if url in self.addresses:
                    found[url] = self.addresses[url]
        self.failed = tuple(failed)
        if found != self.addresses:
            self.addresses = found

    def _ask_on(self) -> None:
        while True:
            self.look()
            new = set(self.wanted()) - {*self.addresses, *self.failed}
            if self._stop.wait(_WAITING_SECONDS if new else LOOK_SECONDS):
                return
