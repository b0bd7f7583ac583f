"""Which pages are on which port, where operators have one of their own."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nexus_gateway.console.shell import PATH as CONSOLE
from nexus_gateway.errors import PAGE_NOT_FOUND, Refusal
from nexus_gateway.page_errors import told
from nexus_gateway.surfaces import SURFACES

EVERYWHERE = frozenset({"/health", "/ready", "/"})
PUBLIC = frozenset({*SURFACES, "/v1/models", "/v1/limits", "/v1/figures"})
KEPT_RESPONSES = "/v1/responses/"


class Ports:
    """ASGI. What belongs on the other port is not there at all: 404."""

    def __init__(self, app: ASGIApp, admin_port: int) -> None:
        self._app, self._admin_port = app, admin_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._belongs(scope):
            await self._app(scope, receive, send)
            return
        await told(Request(scope), Refusal(PAGE_NOT_FOUND))(scope, receive, send)

    def _belongs(self, scope: Scope) -> bool:
        path = scope["path"]
        at_admin = scope["server"][1] == self._admin_port
        public = path in PUBLIC or path.startswith(KEPT_RESPONSES)
        return path in EVERYWHERE or path.startswith(CONSOLE) or public is not at_admin
