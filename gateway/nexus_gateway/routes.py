"""How a route file becomes what requests are decided by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from pydantic import ValidationError

from nexus_gateway import routing
from nexus_gateway.config_errors import ConfigRefused, first_error
from nexus_gateway.masking import recognizers
from nexus_gateway.prefix_routing.choice import Parameters
from nexus_gateway.prefix_routing.parameters_file import PrefixFile
from nexus_gateway.prefix_routing.rendezvous import seed_of
from nexus_gateway.routes_file import (
    CanaryFile,
    DirectFile,
    HealthFile,
    PolicyFile,
    RoutesFile,
    ShadowFile,
    TlsFile,
    UpstreamFile,
    WeightedFile,
)
from nexus_gateway.routing import Route
from nexus_gateway.strict_yaml import parse_yaml
from nexus_gateway.surfaces import Api
from nexus_gateway.upstreams.addresses import check_addresses
from nexus_gateway.upstreams.certificates import tls_context
from nexus_gateway.upstreams.schemes import SCHEMES

DEFAULT_ROUTE = "default"
"""What metrics and headers call the route of models that have none of their own."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    id: str
    """The upstream's name, and with several endpoints the address too."""
    url: str
    tls: TlsFile
    api_base: str = ""
    """Of a hosted provider; empty where that is its known one."""
    address: str = ""
    """`address:port` to connect to instead of the URL's; of a service's endpoints alone."""
    seed: int = 0
    """By which prompts are spread; see `prefix_routing/rendezvous.py`."""

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0]


@dataclass(frozen=True, slots=True)
class Upstream:
    name: str
    endpoints: tuple[Endpoint, ...]
    release: str
    model: str
    """The engine's own name for it; empty where that is the route's."""
    apis: tuple[Api, ...]
    max_parallel: int | None
    queue_seconds: float
    health: HealthFile | None
    salted: bool
    """Whether each tenant has a prefix cache of its own there."""
    authorization: bytes = field(repr=False)
    """For this upstream's own addresses; empty where it wants none."""
    service: str = ""
    """The URL of the headless Service that its endpoints are the addresses of."""
    prefix: Parameters | None = None
    """Of the choice by prefix; None where the endpoint with the fewest calls is asked."""
    choice: PrefixFile | None = None
    """As the file says it."""


def parse(name: str, data: bytes) -> RoutesFile:
    """Raises ConfigRefused that names file and place."""
    document = parse_yaml(name, data)
    try:
        return RoutesFile.model_validate(document)
    except ValidationError as error:
        raise ConfigRefused(f"{name}: {first_error(error)}") from None


@dataclass(frozen=True)
class Table:
    """What requests are decided by: of one file, or of all together."""

    upstreams: Mapping[str, Upstream]
    routes: Mapping[str, Route]
    policies: Mapping[str, PolicyFile]
    """By key id."""
    subjects: Mapping[str, PolicyFile]
    """By the subject of a token."""
    default: Route | None

    def route(self, model: str) -> Route | None:
        return self.routes.get(model) or self.default

    @cached_property
    def choosing(self) -> tuple[Upstream, ...]:
        """Those that choose an endpoint by prefix."""
        return tuple(one for one in self.upstreams.values() if one.prefix is not None)

    @cached_property
    def services(self) -> frozenset[str]:
        """URLs of the headless Services of upstreams."""
        return frozenset(one.service for one in self.upstreams.values() if one.service)

    @property
    def endpoints(self) -> set[str]:
        return {endpoint.id for upstream in self.upstreams.values() for endpoint in upstream.endpoints}


Addresses = Mapping[str, tuple[str, ...]]
"""URL of a headless Service -> where its pods are, as `address:port`."""


def compile_file(
    name: str,
    file: RoutesFile,
    first_byte_seconds: float,
    environ: Mapping[str, str] | None,
    addresses: Addresses = MappingProxyType({}),
) -> Table:
    """Raises ConfigRefused. `environ` holds the upstreams' credentials; None where they are not wanted (`check`)."""
    upstreams = {key: _upstream(name, key, upstream, environ, addresses) for key, upstream in file.upstreams.items()}
    routes = {alias: _route(name, alias, route, first_byte_seconds) for alias, route in file.routes.items()}
    if environ is not None:
        _load_recognizers(name, file)
    default = None
    if file.default:
        default = Route(DEFAULT_ROUTE, routing.direct(file.default), "0", routing.Timeouts(first_byte_seconds))
    return Table(upstreams, routes, file.policies, file.subjects, default)


def _upstream(
    name: str, key: str, file: UpstreamFile, environ: Mapping[str, str] | None, addresses: Addresses
) -> Upstream:
    check_addresses(f"{name}: upstreams.{key}", file, load=environ is not None)
    if len(set(file.urls)) != len(file.urls):
        raise ConfigRefused(f"{name}: upstreams.{key}.endpoints: an address stands twice")
    if environ is not None and file.tls != TlsFile():
        _check_tls(name, key, file.tls)
    token = ""
    if file.credential_env and environ is not None:
        token = environ.get(file.credential_env, "")
        if not token.isascii() or not token.isprintable() or not token:
            raise ConfigRefused(
                f"{name}: upstreams.{key}.credential_env: {file.credential_env} is not set for this process, or is no "
                "plain text"
            )
    endpoints = _endpoints(key, file, addresses.get(file.service, ()) if file.service else ())
    return Upstream(
        name=key,
        endpoints=endpoints,
        release=file.release or "",
        model=file.model or "",
        apis=file.apis or SCHEMES[endpoints[0].scheme].apis,
        max_parallel=file.max_parallel,
        queue_seconds=file.queue_seconds,
        health=file.health,
        salted=file.prefix_cache == "tenant",
        authorization=b"Bearer " + token.encode() if token else b"",
        service=file.service or "",
        prefix=file.choice.parameters if file.choice else None,
        choice=file.choice,
    )


def _endpoints(key: str, file: UpstreamFile, addresses: Collection[str]) -> tuple[Endpoint, ...]:
    """Of a service whose name has not been asked yet, or leads nowhere, the name itself: to connect asks again."""
    urls = [url.rstrip("/") for url in file.urls]
    if addresses:
        places = [(f"{key} {address}", urls[0], address) for address in sorted(addresses)]
    else:
        places = [(f"{key} {url}" if len(urls) > 1 else key, url, "") for url in urls]
    return tuple(
        Endpoint(name, url, file.tls, file.api_base or "", address, seed_of(address or url))
        for name, url, address in places
    )


def _route(name: str, alias: str, file: DirectFile | WeightedFile | CanaryFile, first_byte_seconds: float) -> Route:
    said = file.timeouts
    timeouts = routing.Timeouts(
        said.first_byte_seconds or first_byte_seconds, said.chunk_seconds or 60.0, said.total_seconds or 600.0
    )
    match file:
        case DirectFile():
            targets = routing.direct(file.upstream)
        case CanaryFile():
            targets = routing.canary(file.primary, file.canary, file.percent)
        case WeightedFile():
            weights = {target.upstream: target.weight for target in file.targets}
            if len(weights) != len(file.targets):
                raise ConfigRefused(f"{name}: routes.{alias}.targets: an upstream stands twice")
            if abs(sum(weights.values()) - 100) > 1e-6:
                total = sum(weights.values())
                raise ConfigRefused(f"{name}: routes.{alias}.targets: weights add up to {total:g}, not 100")
            targets = routing.weighted(weights)
    matches = tuple(routing.Match(one.header.encode(), one.value.encode(), one.upstream) for one in file.match)
    return Route(
        alias,
        targets,
        file.rollout,
        timeouts,
        matches,
        file.fallbacks,
        file.tries,
        _shadow(file.shadow),
        file.telemetry,
        file.masking,
    )


def _shadow(file: ShadowFile | None) -> routing.Shadow | None:
    if file is None:
        return None
    said = file.match
    match = routing.Match(said.header.encode(), said.value.encode(), file.upstream) if said else None
    return routing.Shadow(file.upstream, routing.share_of(file.percent), match, file.max_parallel, file.masking)


def _load_recognizers(name: str, file: RoutesFile) -> None:
    routes = file.routes.items()
    said = [
        *((f"routes.{key}", route.masking) for key, route in routes),
        *((f"routes.{key}.shadow", route.shadow.masking) for key, route in routes if route.shadow),
        *((f"policies.{key}", policy.masking) for key, policy in file.policies.items()),
        *((f"subjects.{key}", policy.masking) for key, policy in file.subjects.items()),
    ]
    for place, masking in said:
        if masking is not None and masking.recognizers:
            try:
                recognizers.load(masking.recognizers)
            except ValueError as error:
                raise ConfigRefused(f"{name}: {place}.masking.recognizers: {error}") from None


def _check_tls(name: str, key: str, tls: TlsFile) -> None:
    try:
        tls_context(tls)
    except OSError as error:  # an ssl.SSLError is one
        raise ConfigRefused(f"{name}: upstreams.{key}.tls: {error.strerror or error}") from None
