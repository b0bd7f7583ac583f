"""Which adapter speaks with which upstream: one row for each scheme of a URL."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from nexus_gateway.routes_file import TlsFile, UpstreamFile
from nexus_gateway.surfaces import APIS, Api
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
    tls: bool = False
    """True where certificates are looked at."""


def _http(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return HttpUpstream(endpoint.url, UpstreamTls(), address)


def _https(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return HttpUpstream(endpoint.url, certificates.of(endpoint.tls), address)


def _mock(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return MockUpstream(endpoint.url)


def _litellm(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    from nexus_gateway.upstreams.litellm import LitellmUpstream

    return LitellmUpstream(endpoint.url, endpoint.api_base, certificates.of(endpoint.tls))


def _check_litellm(file: UpstreamFile, url: SplitResult) -> None:
    from nexus_gateway.upstreams.litellm import check  # with httpx 4 MiB, for who asks hosted providers

    check(file, url)


def _prepare_litellm() -> None:
    from nexus_gateway.upstreams.litellm import prepare

    prepare()


def _grpc(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    from nexus_gateway.upstreams.grpc import GrpcUpstream  # 15 MiB, for who asks by gRPC

    tls = certificates.of(endpoint.tls) if endpoint.scheme == "grpcs" else None
    return GrpcUpstream(endpoint.url, endpoint.tls, tls, address)


def _check_grpc(file: UpstreamFile, url: SplitResult) -> None:
    if file.api_base is not None:
        raise ValueError("api_base is for litellm:// alone; write the address as url")
    if url.port is None or url.path.strip("/"):
        raise ValueError(f"write {url.scheme}://host:port: a gRPC engine has no path, and no port of its own")
    if url.scheme == "grpc" and file.tls != TlsFile():
        raise ValueError("tls is for grpcs://; grpc:// is not encrypted")


def _prepare_grpc() -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else its core writes lines of its own between those of our log
    import nexus_gateway.upstreams.grpc  # noqa: F401 - loaded here, and not at the first request


_GRPC_APIS: tuple[Api, ...] = ("chat", "completions", "embeddings")

SCHEMES = {
    "http": Scheme("http://host", _http),
    "https": Scheme("https://host", _https, tls=True),
    "grpc": Scheme("grpc://host:port", _grpc, _check_grpc, _prepare_grpc, apis=_GRPC_APIS),
    "grpcs": Scheme("grpcs://host:port", _grpc, _check_grpc, _prepare_grpc, apis=_GRPC_APIS, tls=True),
    "mock": Scheme("mock://host", _mock, query=True),
    "litellm": Scheme(
        "litellm://provider/model", _litellm, _check_litellm, _prepare_litellm, apis=("chat", "embeddings"), tls=True
    ),
}


def open_upstream(endpoint: Endpoint, address: str | None, certificates: Certificates) -> Upstream:
    return SCHEMES[endpoint.scheme].open(endpoint, address, certificates)
