"""Which adapter speaks with which upstream: one row for each scheme of a URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_gateway.upstreams.certificates import Certificates, UpstreamTls
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.upstreams.mock import MockUpstream
from nexus_gateway.upstreams.protocol import Upstream

if TYPE_CHECKING:
    from nexus_gateway.routes import Endpoint

Open = Callable[["Endpoint", str | None, Certificates], Upstream]
"""(endpoint, `address:port` to connect to instead, certificates)."""


@dataclass(frozen=True, slots=True)
class Scheme:
    form: str
    """What to write."""
    open: Open
    query: bool = False
    """True where an address may have one."""


def _http(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return HttpUpstream(endpoint.url, UpstreamTls(), address)


def _https(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return HttpUpstream(endpoint.url, certificates.of(endpoint.tls), address)


def _mock(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return MockUpstream(endpoint.url)


SCHEMES = {
    "http": Scheme("http://host", _http),
    "https": Scheme("https://host", _https),
    "mock": Scheme("mock://host", _mock, query=True),
}


def open_upstream(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return SCHEMES[endpoint.scheme].open(endpoint, address, certificates)
