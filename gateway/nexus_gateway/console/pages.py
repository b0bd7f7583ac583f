"""The console's pages: the shell, which is open, and what it asks for, which wants a key."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI, Request

from nexus_gateway.auth import administrator, authenticate
from nexus_gateway.console.routes_told import routes_told
from nexus_gateway.console.settings import ConsoleSettings
from nexus_gateway.console.shell import add_shell
from nexus_gateway.driven import driven
from nexus_gateway.errors import RELEASE_NOT_FOUND, Refusal
from nexus_gateway.gateway import Gateway
from nexus_gateway.page_errors import head_of
from nexus_gateway.policy import caller_of

_ID = re.compile(r"[0-9a-f]{64}")


def add_console(app: FastAPI, gateway: Gateway, settings: ConsoleSettings) -> None:
    if settings.shown:
        add_shell(app)

    @app.get("/v1/limits")
    async def limits(request: Request) -> dict[str, Any]:
        """Who the key is, and what is left of its limits."""
        from nexus_gateway.console.limits_left import limits_left  # with what explains, which is half a MiB

        table = gateway.served.current.table
        caller = caller_of(await driven(authenticate(head_of(request), gateway.known)), table)
        return await driven(limits_left(gateway, caller, table))

    @app.get("/admin/routes")
    async def routes(request: Request) -> dict[str, Any]:
        await driven(administrator(head_of(request), gateway.known))
        return routes_told(gateway)

    @app.get("/admin/explain")
    async def explain(request: Request) -> dict[str, Any]:
        from nexus_gateway.console.explain_page import explained  # as above

        await driven(administrator(head_of(request), gateway.known))
        return explained(request.query_params.multi_items(), gateway.served.current, gateway.known.ring.keys)

    @app.get("/admin/releases")
    async def releases(request: Request) -> dict[str, Any]:
        from nexus_gateway.console import checkout_page  # as above

        await driven(administrator(head_of(request), gateway.known))
        return await checkout_page.releases(settings)

    @app.get("/admin/releases/{release}")
    async def release(request: Request, release: str) -> dict[str, Any]:
        from nexus_gateway.console import checkout_page  # as above

        await driven(administrator(head_of(request), gateway.known))
        found = await checkout_page.release(settings, release) if _ID.fullmatch(release) else None
        if found is None:
            raise Refusal(RELEASE_NOT_FOUND)
        return found

    @app.get("/admin/canaries")
    async def canaries(request: Request) -> dict[str, Any]:
        from nexus_gateway.console import checkout_page  # as above

        await driven(administrator(head_of(request), gateway.known))
        return await checkout_page.canaries(settings)

    @app.get("/admin/prices")
    async def prices(request: Request) -> dict[str, Any]:
        from nexus_gateway.console import checkout_page  # as above

        await driven(administrator(head_of(request), gateway.known))
        return await checkout_page.prices(settings)
