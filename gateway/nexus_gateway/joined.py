"""The tables of all route files as one, and what no file can show alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.routes import Table, Upstream
from nexus_gateway.routes_file import PolicyFile
from nexus_gateway.routing import Route

T = TypeVar("T")
_LONGEST_CHAIN = 32


def join(parts: Iterable[tuple[str, Table]]) -> Table:
    """(name of a file, its table) -> the table of all. Raises ConfigRefused for what one file alone cannot show: names
    that stand twice, what does not exist, fallbacks that lead back."""
    upstreams: dict[str, Upstream] = {}
    routes: dict[str, Route] = {}
    policies: dict[str, PolicyFile] = {}
    subjects: dict[str, PolicyFile] = {}
    default, said_in = None, ""
    for name, part in parts:
        _take(name, "upstreams", upstreams, part.upstreams)
        _take(name, "routes", routes, part.routes)
        _take(name, "policies", policies, part.policies)
        _take(name, "subjects", subjects, part.subjects)
        if part.default is not None:
            if default is not None:
                raise ConfigRefused(f"{name}: default: {said_in} names one too")
            default, said_in = part.default, name
    _check_targets([*routes.values(), *([default] if default else [])], upstreams)
    _check_fallbacks(routes)
    return Table(upstreams, routes, policies, subjects, default)


def _take(name: str, kind: str, ours: dict[str, T], theirs: Mapping[str, T]) -> None:
    if twice := sorted(ours.keys() & theirs.keys()):
        raise ConfigRefused(f"{name}: {kind}.{twice[0]}: another file has it too")
    ours.update(theirs)


def _check_targets(routes: Iterable[Route], upstreams: Mapping[str, Upstream]) -> None:
    for route in routes:
        shadow = (route.shadow.upstream,) if route.shadow else ()
        targets = (target.upstream for target in route.targets)
        for name in (*targets, *(match.upstream for match in route.matches), *shadow):
            if name not in upstreams:
                raise ConfigRefused(f"routes.{route.name}: upstream {name!r} is not under `upstreams`")


def _check_fallbacks(routes: Mapping[str, Route]) -> None:
    for route in routes.values():
        for name in route.fallbacks:
            if name not in routes:
                raise ConfigRefused(f"routes.{route.name}.fallbacks: {name!r} is no route")
    sound: set[str] = set()
    for name in routes:
        _follow(routes, name, (), sound)


def _follow(routes: Mapping[str, Route], name: str, path: tuple[str, ...], sound: set[str]) -> None:
    """Raises ConfigRefused where the fallbacks from `name` lead back, or further than anybody waits."""
    if name in path or len(path) > _LONGEST_CHAIN:
        shown = " -> ".join((*path[:8], name))
        raise ConfigRefused(f"routes.{name}.fallbacks: {shown}: a chain leads back, or is over {_LONGEST_CHAIN} long")
    if name not in sound:
        for following in routes[name].fallbacks:
            _follow(routes, following, (*path, name), sound)
        sound.add(name)
