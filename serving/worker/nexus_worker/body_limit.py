"""Refuses bodies that no context could hold, before they fill the memory. Plain ASGI, so that streams stay streams."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 8 * 2**20
"""Bytes of a request."""


class BodyLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST:
                raise HTTPException(413, f"the body has more than {LARGEST} bytes")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)
