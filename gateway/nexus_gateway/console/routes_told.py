"""The routes that are served, with what is known of their engines just now. One process tells of itself alone."""

from __future__ import annotations

import time
from typing import Any

from nexus_gateway.gateway import Gateway
from nexus_gateway.routes import Upstream
from nexus_gateway.routing import BUCKETS, Match, Route, Shadow


def routes_told(gateway: Gateway) -> dict[str, Any]:
    served = gateway.served.current
    table = served.table
    routes = [*(table.routes[name] for name in sorted(table.routes)), *([table.default] if table.default else [])]
    return {
        "revision": served.revision,
        "loaded": served.loaded,
        "routes": [_route(route) for route in routes],
        "upstreams": {name: _upstream(gateway, table.upstreams[name]) for name in sorted(table.upstreams)},
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "targets": [{"upstream": one.upstream, "percent": _percent(one.share)} for one in route.targets],
        "matches": [_match(one) | {"upstream": one.upstream} for one in route.matches],
        "fallbacks": list(route.fallbacks),
        "tries": route.tries,
        "shadow": _shadow(route.shadow) if route.shadow else None,
    }


def _shadow(shadow: Shadow) -> dict[str, Any]:
    when = _match(shadow.match) if shadow.match else None
    return {"upstream": shadow.upstream, "percent": _percent(shadow.share), "match": when}


def _match(match: Match) -> dict[str, str]:
    return {"header": match.header.decode(), "value": match.value.decode()}


def _percent(share: int) -> float:
    return share * 100 / BUCKETS


def _upstream(gateway: Gateway, upstream: Upstream) -> dict[str, Any]:
    now = time.monotonic()
    return {
        "release": upstream.release or None,
        "apis": list(upstream.apis),
        "endpoints": [
            {
                "url": endpoint.url,
                "address": endpoint.address or None,
                **gateway.breakers.show(endpoint.id, now),
                "well": gateway.endpoints.of(endpoint.id).well,
                "in_flight": gateway.endpoints.of(endpoint.id).in_flight,
            }
            for endpoint in upstream.endpoints
        ],
    }
