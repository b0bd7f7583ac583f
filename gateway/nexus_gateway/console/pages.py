"""The console's pages: the shell, which is open, and what it asks for, which wants a key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI, Request

from nexus_gateway.auth import administrator, authenticate
from nexus_gateway.console.checkout import Checkout, Unreadable
from nexus_gateway.console.git_told import canaries_told, prices_told, release_told, releases_told
from nexus_gateway.console.routes_told import routes_told
from nexus_gateway.console.settings import ConsoleSettings
from nexus_gateway.console.shell import add_shell
from nexus_gateway.driven import driven
from nexus_gateway.errors import CHECKOUT_UNREADABLE, RELEASE_NOT_FOUND, Refusal
from nexus_gateway.gateway import Gateway
from nexus_gateway.page_errors import head_of
from nexus_gateway.policy import caller_of

T = TypeVar("T")
_ID = re.compile(r"[0-9a-f]{64}")


def add_console(app: FastAPI, gateway: Gateway, settings: ConsoleSettings) -> None:
    checkout = Checkout(settings)
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
        await driven(administrator(head_of(request), gateway.known))
        return await _read(releases_told, checkout)

    @app.get("/admin/releases/{release}")
    async def release(request: Request, release: str) -> dict[str, Any]:
        await driven(administrator(head_of(request), gateway.known))
        found = await _read(lambda one: release_told(one, release), checkout) if _ID.fullmatch(release) else None
        if found is None:
            raise Refusal(RELEASE_NOT_FOUND)
        return found

    @app.get("/admin/canaries")
    async def canaries(request: Request) -> dict[str, Any]:
        await driven(administrator(head_of(request), gateway.known))
        return await _read(canaries_told, checkout)

    @app.get("/admin/prices")
    async def prices(request: Request) -> dict[str, Any]:
        await driven(administrator(head_of(request), gateway.known))
        return await _read(prices_told, checkout)


async def _read(tell: Callable[[Checkout], T], checkout: Checkout) -> T:
    """In a thread, since a disk may be slow. Raises Refusal for what cannot be read: it is told, and stops nothing."""
    try:
        return await asyncio.to_thread(tell, checkout)
    except Unreadable as error:
        raise Refusal(CHECKOUT_UNREADABLE, str(error)) from None
