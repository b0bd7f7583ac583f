"""Every way in which a request's places in splits can fall, as far as it makes a difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nexus_gateway.routing import Route


def every_place() -> Iterator[Callable[[Route], int]]:
    """Functions from a route to a place in its split. Whoever takes one decides by it before taking the next: what it
    was asked for then says which others there are."""
    waiting: list[dict[str, int]] = [{}]
    while waiting:
        chosen = waiting.pop()
        asked: dict[str, Route] = {}

        def place(route: Route, chosen: dict[str, int] = chosen, asked: dict[str, Route] = asked) -> int:
            if route.name not in chosen:
                asked[route.name] = route
                chosen[route.name] = arms(route)[0]
            return chosen[route.name]

        before = dict(chosen)
        yield place
        for route in asked.values():
            first, *others = arms(route)
            waiting += [{**before, route.name: other} for other in others]
            before[route.name] = first


def arms(route: Route) -> list[int]:
    """The lowest place of each target that has a share."""
    found, start = [], 0
    for target in reversed(route.targets):
        if target.share:
            found.append(start)
        start += target.share
    return found
