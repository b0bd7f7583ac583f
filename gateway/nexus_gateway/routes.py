"""The route files: their schema, and how they become the tables that requests are decided by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nexus_gateway import routing
from nexus_gateway.config_errors import ConfigRefused, first_error
from nexus_gateway.routing import Route

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
_SCHEMES = ("http", "https", "mock")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UpstreamFile(_Strict):
    """Where an engine is."""

    url: str
    """`http://host[:port][/path]`, `https://…`, or `mock://…`; requests go to `<url>/v1/…`."""
    release: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Release id that the engine serves; answered as `x-nexus-release`."""


class TimeoutsFile(_Strict):
    """Seconds."""

    first_byte_seconds: Seconds | None = None
    chunk_seconds: Seconds | None = None
    total_seconds: Seconds | None = None


class _RouteFile(_Strict):
    rollout: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")] = "0"
    """Salt of the split."""
    timeouts: TimeoutsFile = TimeoutsFile()


class DirectFile(_RouteFile):
    strategy: Literal["direct"]
    upstream: Name


class TargetFile(_Strict):
    upstream: Name
    weight: Percent


class WeightedFile(_RouteFile):
    strategy: Literal["weighted"]
    targets: Annotated[tuple[TargetFile, ...], Field(min_length=1)]
    """Weights add up to 100."""


class CanaryFile(_RouteFile):
    strategy: Literal["canary"]
    primary: Name
    canary: Name
    percent: Percent
    """Of the traffic, to the canary."""


RouteFile = Annotated[DirectFile | WeightedFile | CanaryFile, Field(discriminator="strategy")]


class RoutesFile(_Strict):
    """One file of routes; a folder holds one for each model."""

    upstreams: dict[Name, UpstreamFile] = Field(default_factory=dict)
    routes: dict[Name, RouteFile] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upstream:
    name: str
    url: str
    release: str


@dataclass(frozen=True)
class Table:
    upstreams: Mapping[str, Upstream]
    routes: Mapping[str, Route]


def parse(name: str, data: bytes) -> RoutesFile:
    """Raises ConfigRefused that names file and place."""
    import yaml

    try:
        document = yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader that refuses aliases and doubled keys
    except yaml.YAMLError as error:
        raise ConfigRefused(f"{name}: no YAML: {' '.join(str(error).split())[:200]}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigRefused(f"{name}: no YAML: {error}") from None
    try:
        return RoutesFile.model_validate(document)
    except ValidationError as error:
        raise ConfigRefused(f"{name}: {first_error(error)}") from None


def compile_routes(files: Iterable[tuple[str, RoutesFile]], first_byte_seconds: float) -> Table:
    """Raises ConfigRefused for what one file alone cannot show: names that stand twice, targets that do not exist."""
    upstreams: dict[str, Upstream] = {}
    routes: dict[str, Route] = {}
    for name, file in files:
        for key, upstream in file.upstreams.items():
            if key in upstreams:
                raise ConfigRefused(f"{name}: upstreams.{key}: another file has it too")
            _check_url(name, key, upstream.url)
            upstreams[key] = Upstream(key, upstream.url.rstrip("/"), upstream.release or "")
        for alias, route in file.routes.items():
            if alias in routes:
                raise ConfigRefused(f"{name}: routes.{alias}: another file has it too")
            routes[alias] = _route(name, alias, route, first_byte_seconds)
    for compiled in routes.values():
        for target in compiled.targets:
            if target.upstream not in upstreams:
                raise ConfigRefused(f"routes.{compiled.name}: upstream {target.upstream!r} is not under `upstreams`")
    return Table(upstreams, routes)


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
    return Route(alias, targets, file.rollout, timeouts)


def _check_url(name: str, key: str, url: str) -> None:
    place = f"{name}: upstreams.{key}.url"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise ConfigRefused(f"{place}: {url!r}: {error}") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigRefused(f"{place}: {url!r}: write {', '.join(f'{scheme}://host' for scheme in _SCHEMES)}")
    if parts.username or parts.password or parts.fragment or (parts.query and parts.scheme != "mock"):
        raise ConfigRefused(f"{place}: {url!r}: no credentials, query or fragment in an address")
    if re.search(r"[\s\\]", url):
        raise ConfigRefused(f"{place}: {url!r}: no white space or backslash")


def _make_loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Aliases can make a small file a huge one; a doubled key hides one of two meanings."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not taken")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            if twice := [key for key in keys if keys.count(key) > 1]:
                raise yaml.YAMLError(f"key {twice[0]!r} stands twice")
            return super().construct_mapping(node, deep)

    return Loader


_Loader = _make_loader()
