"""The gateway's pages on FastAPI. The relayed paths are handed to the story; everything else is answered here.

FastAPI and Starlette have seven layers before a function of ours, each with a coroutine, and none of them does anything
for a path that is relayed. So a request that is plainly for one goes past them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nexus_gateway.asgi import AsgiExchange
from nexus_gateway.auth import administrator, authenticate
from nexus_gateway.console.pages import add_console
from nexus_gateway.console.settings import ConsoleSettings
from nexus_gateway.driven import driven
from nexus_gateway.errors import INTERNAL, Refusal
from nexus_gateway.gateway import Gateway
from nexus_gateway.page_errors import head_of, tell_errors, told
from nexus_gateway.policy import OTHERS, caller_of
from nexus_gateway.proxy import answer
from nexus_gateway.surfaces import KEPT, SURFACES, Surface

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Relay:
    """An ASGI endpoint that gives the request to the story as it is."""

    def __init__(self, gateway: Gateway, surface: Surface) -> None:
        self._gateway, self._surface = gateway, surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = AsgiExchange(scope, receive, send)
        try:
            await exchange.run(answer(self._gateway, exchange, self._surface))
        except Exception:
            if not exchange.begun:  # a fault before or after all that the story tells of itself
                await told(Request(scope), Refusal(INTERNAL))(scope, receive, send)
            raise


class Pages(FastAPI):
    def __init__(self, relays: Mapping[str, Relay], **given: Any) -> None:
        """`relays`: of posts, by path."""
        super().__init__(**given)
        self._relays = relays

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            relay = self._relays.get(scope["path"])
            if relay is not None:
                await relay(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def create_app(gateway: Gateway, console: ConsoleSettings | None = None, *, names_tenants: bool = False) -> FastAPI:
    """`names_tenants`: figures do to whoever may ask for them, with a key or without."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await gateway.begin()
        yield
        await gateway.close()

    relays = {surface.path: Relay(gateway, surface) for surface in (*SURFACES.values(), *KEPT.values())}
    posts = {path: relay for path, relay in relays.items() if path in SURFACES}
    app = Pages(posts, lifespan=life, openapi_url=None, redirect_slashes=False)
    tell_errors(app)
    for surface in (*SURFACES.values(), *KEPT.values()):
        relayed = Route(surface.path, relays[surface.path])
        relayed.methods = set(surface.methods)  # and no HEAD of its own accord: it would be asked of an engine
        app.router.routes.append(relayed)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> Response:
        """Requests may be sent here."""
        state = "draining" if gateway.leaving else "ready"
        body = {"status": state, "revision": gateway.served.current.revision}
        return JSONResponse(body, 503 if gateway.leaving else 200)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        tenants = names_tenants or await _administers(request, gateway)
        gathered = await gateway.siblings.gather() if gateway.siblings else None
        return Response(await gateway.metrics.render(gathered, tenants=tenants), media_type=PROMETHEUS)

    @app.get("/v1/figures")
    async def figures(request: Request) -> Response:
        """What is counted of the caller's tenant. Of callers whom the routes do not name nothing is told: they are
        counted together, and none of them may see what the others do."""
        caller = caller_of(await driven(authenticate(head_of(request), gateway.known)), gateway.served.current.table)
        gathered = await gateway.siblings.gather() if gateway.siblings else None
        own = "" if caller.tenant == OTHERS else caller.tenant
        return Response(await gateway.metrics.render_tenant(own, gathered), media_type=PROMETHEUS)

    @app.get("/openapi.json")
    async def openapi() -> dict[str, Any]:
        from nexus_gateway.openapi import document

        return document()

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """The models that the key may use."""
        served = gateway.served.current
        caller = caller_of(await driven(authenticate(head_of(request), gateway.known)), served.table)
        names = [name for name in sorted(served.table.routes) if caller.may_use(name)]
        created = int(served.loaded)
        entries = [{"id": name, "object": "model", "created": created, "owned_by": "nexus"} for name in names]
        return {"object": "list", "data": entries}

    @app.get("/v1/circuit-breakers")
    async def circuit_breakers(request: Request) -> dict[str, Any]:
        await driven(administrator(head_of(request), gateway.known))
        now = time.monotonic()
        return {
            name: gateway.breakers.show(name, now) | {"well": gateway.endpoints.of(name).well}
            for name in sorted(gateway.served.current.table.endpoints)
        }

    @app.get("/admin/config")
    async def config(request: Request) -> dict[str, Any]:
        """What is served, and what was refused since."""
        await driven(administrator(head_of(request), gateway.known))
        served = gateway.served
        told = gateway.told()
        all_told = await gateway.siblings.gather() if gateway.siblings else None
        return {
            "revision": told["revision"],
            "loaded": served.current.loaded,
            "files": sorted(served.current.files),
            "routes": sorted(served.current.table.routes),
            "refusal": told["refusal"],
            "workers": all_told.states if all_told else [told],
            "silent_workers": all_told.silent if all_told else 0,
        }

    add_console(app, gateway, console or ConsoleSettings())
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.methods = {"GET", "HEAD"}
    return app


async def _administers(request: Request, gateway: Gateway) -> bool:
    """Open: whose key is none gets what everybody gets. Else one that has ended would blind every alert."""
    with suppress(Refusal):
        await driven(administrator(head_of(request), gateway.known))
        return True
    return False
