"""Everything that a caller's requests can get to: over every name, API, rule, share, fallback and copy.

No sampling: what is asked of the routes is asked once for each way in which their answer can differ. A look that finds
every circuit open makes `in_order` walk to the last engine, so that a place in a split changes the order alone. Rules
are heeded one header at a time, since the first that holds decides for its route and for no other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from nexus_gateway.candidates import Wanted, holder, in_order, speaks
from nexus_gateway.keys import Key
from nexus_gateway.policy import Caller, caller_of
from nexus_gateway.routes import Table, Upstream
from nexus_gateway.routing import BUCKETS, Match, Route, chain
from nexus_gateway.surfaces import SURFACES, Surface

NOBODY_S = "a-name-that-no-model-has"
"""Of a model: by it the default is reached."""
_FIRST = BUCKETS - 1
"""A place; which one changes the order alone."""


Engines = Mapping[str, Sequence[tuple[str, str]]]
"""Address -> (the engine's own name for it, model), for each model that is answered there."""


@dataclass(frozen=True)
class Reached:
    """Engines that may be asked."""

    model: str
    """As the client writes it."""
    asked: Route
    """That of the model."""
    route: Route
    """The same, or a fallback."""
    upstream: Upstream
    rule: Match | None = None
    """Of the route, that leads there; else its share does."""
    copy: bool = False

    def outside(self, hosts: Sequence[str]) -> list[str]:
        """Addresses of its engines that are at none of the hosts, which are patterns. This process is inside."""
        return [
            endpoint.api_base or endpoint.url
            for endpoint in self.upstream.endpoints
            if endpoint.scheme != "mock" and not fits(host_of(endpoint.api_base or endpoint.url), hosts)
        ]

    @property
    def way(self) -> tuple[object, ...]:
        """The same in each API that leads there."""
        return self.route.name, self.upstream.name, self.rule, self.copy

    @property
    def story(self) -> str:
        rule = f" by {self.rule.header.decode()}: {self.rule.value.decode()}" if self.rule else ""
        return f"{self.model} -> {self.upstream.name} of {self.route.name}{' as a copy' if self.copy else ''}{rule}"


def reached(table: Table, key: Key, only: tuple[str, ...] = ("*",)) -> Iterator[Reached]:
    """By each name that fits one of the patterns."""
    caller = caller_of(key, table)
    for model in names(table, caller):
        if fits(model, only) and caller.may_use(model):
            route = table.route(model)
            if route is not None:
                ways = {one.way: one for one in _of_model(table, caller, model, route)}
                yield from ways.values()


def names(table: Table, caller: Caller) -> list[str]:
    """Every name of a model that can make a difference, sorted."""
    policies = (*table.policies.values(), *table.subjects.values())
    named = {name for policy in policies for name in policy.models or ()} | (caller.key.models or frozenset())
    engines = {upstream.model for upstream in table.upstreams.values() if upstream.model}
    return sorted({*table.routes, *named, *engines, NOBODY_S})


def engines_of(table: Table, models: Iterable[str]) -> Engines:
    """Of the upstreams that have a share of a model's own traffic."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for model in models:
        for target in table.routes[model].targets:
            upstream = table.upstreams[target.upstream]
            for endpoint in upstream.endpoints if target.share else ():
                found[endpoint.url].append((upstream.model, model))
    return found


def met(upstream: Upstream, engines: Engines) -> str:
    """A model whose engine this one leads to; empty where there is none. An engine is an address; at one address there
    are several only where both say by `model` which of them they ask, since an engine may answer to any name."""
    return next(
        (
            model
            for endpoint in upstream.endpoints
            for own, model in engines.get(endpoint.url, ())
            if not (own and upstream.model) or own == upstream.model
        ),
        "",
    )


def host_of(url: str) -> str:
    """Empty for a hosted provider by its name, whose address is the client library's to know."""
    parts = urlsplit(url)
    return "" if parts.scheme == "litellm" else parts.hostname or ""


def fits(name: str, patterns: Sequence[str]) -> bool:
    return bool(name) and any(fnmatchcase(name, pattern) for pattern in patterns)


def _of_model(table: Table, caller: Caller, model: str, route: Route) -> Iterator[Reached]:
    along = list(chain(table.routes, route, caller.may_use))
    shadows = [route.shadow.match] if route.shadow and route.shadow.match else []
    rules = [None, *(rule for one in along for rule in one.matches), *shadows]
    for surface in SURFACES.values():
        for rule in rules:
            wanted = Wanted(route, surface, lambda _: _FIRST, _holds(rule), caller.may_use)
            for one, upstream in in_order(table, wanted):
                if speaks(upstream, surface):
                    yield Reached(model, route, one, upstream, next(filter(wanted.holds, one.matches), None))
            yield from _copied(table, model, route, rule, surface)
        if surface.api == "responses":
            yield from _kept(table, caller, model, route, surface, along)


def _copied(table: Table, model: str, route: Route, rule: Match | None, surface: Surface) -> Iterator[Reached]:
    shadow = route.shadow
    if shadow is None or not shadow.share or (shadow.match is not None and not _holds(rule)(shadow.match)):
        return
    upstream = table.upstreams[shadow.upstream]
    if speaks(upstream, surface):
        yield Reached(model, route, route, upstream, copy=True)


def _kept(
    table: Table, caller: Caller, model: str, route: Route, surface: Surface, along: list[Route]
) -> Iterator[Reached]:
    """Who goes on from a response is led to the engine that keeps it, by whatever share it has now."""
    idle = {target.upstream for one in along for target in one.targets if not target.share}
    for name in sorted(idle):
        for endpoint in table.upstreams[name].endpoints:
            wanted = Wanted(route, surface, lambda _: _FIRST, _holds(None), caller.may_use, endpoint.id)
            found = holder(table, wanted)
            if found is not None:
                yield Reached(model, route, found.route, found.upstream)


def _holds(rule: Match | None) -> Callable[[Match], bool]:
    return lambda other: rule is not None and (other.header, other.value) == (rule.header, rule.value)
