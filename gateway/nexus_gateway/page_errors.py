"""Errors outside of the story: of the other pages, of paths and methods that are not there, of faults of ours."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from nexus_gateway import envelopes
from nexus_gateway.errors import INTERNAL, METHOD_NOT_ALLOWED, PAGE_NOT_FOUND, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.surfaces import SURFACES, Surface
from nexus_gateway.trace import trace


def tell_errors(app: FastAPI) -> None:
    """Every error of `app` has the envelope that the path's clients know, and the request's ids."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return told(request, refusal)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        """What Starlette itself refuses: a path, or a method of one; the latter with `allow`."""
        condition = METHOD_NOT_ALLOWED if error.status_code == 405 else PAGE_NOT_FOUND
        headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
        return told(request, Refusal(condition, headers=headers))

    @app.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Response:
        return told(request, Refusal(INTERNAL))


def head_of(request: Request) -> RequestHead:
    client = request.client.host if request.client else ""
    return RequestHead(request.method, request.url.path, list(request.headers.raw), client)


def told(request: Request, refusal: Refusal) -> Response:
    ids = trace(head_of(request))
    headers = {name.decode(): value.decode() for name, value in (*refusal.headers, *ids.headers)}
    body = envelopes.body(refusal, surface_of(request.url.path), ids.request_id)
    return Response(body, refusal.condition.status, headers, media_type="application/json")


def surface_of(path: str) -> Surface:
    """Whose clients ask for it, as far as the path tells."""
    nearest = "/v1/messages" if path.startswith("/v1/messages/") else "/v1/chat/completions"
    return SURFACES.get(path, SURFACES[nearest])
