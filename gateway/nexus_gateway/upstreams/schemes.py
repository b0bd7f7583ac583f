"""Which adapter speaks with which upstream: one row for each scheme of a URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from nexus_gateway.routes_file import UpstreamFile
from nexus_gateway.surfaces import APIS, Api
from nexus_gateway.upstreams import litellm
from nexus_gateway.upstreams.certificates import Certificates, UpstreamTls
from nexus_gateway.upstreams.http import HttpUpstream
from nexus_gateway.upstreams.mock import MockUpstream
from nexus_gateway.upstreams.protocol import Upstream

if TYPE_CHECKING:
    from nexus_gateway.routes import Endpoint

Open = Callable[["Endpoint", str | None, Certificates], Upstream]
"""(endpoint, `address:port` to connect to instead, certificates)."""


def _plain(file: UpstreamFile, url: SplitResult) -> None:
    if file.api_base is not None:
        raise ValueError("api_base is for litellm:// alone; write the address as url")


def _nothing() -> None:
    """There is nothing to load."""


@dataclass(frozen=True, slots=True)
class Scheme:
    form: str
    """What to write."""
    open: Open
    check: Callable[[UpstreamFile, SplitResult], None] = _plain
    """Raises ValueError for what this scheme cannot do."""
    prepare: Callable[[], None] = _nothing
    """Before the first upstream is opened, not in the loop. Raises ValueError for what this process lacks."""
    query: bool = False
    """True where an address may have one."""
    apis: tuple[Api, ...] = APIS
    """What such an upstream can speak."""


def _http(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return HttpUpstream(endpoint.url, UpstreamTls(), address)


def _https(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return HttpUpstream(endpoint.url, certificates.of(endpoint.tls), address)


def _mock(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return MockUpstream(endpoint.url)


def _litellm(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return litellm.LitellmUpstream(endpoint.url, endpoint.api_base, certificates.of(endpoint.tls))


SCHEMES = {
    "http": Scheme("http://host", _http),
    "https": Scheme("https://host", _https),
    "mock": Scheme("mock://host", _mock, query=True),
    "litellm": Scheme(
        "litellm://provider/model", _litellm, litellm.check, litellm.prepare, apis=("chat", "embeddings")
    ),
}


def open_upstream(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return SCHEMES[endpoint.scheme].open(endpoint, address, certificates)
