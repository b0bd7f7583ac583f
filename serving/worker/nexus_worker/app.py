"""The HTTP surface: OpenAI's paths and vLLM's, errors in OpenAI's envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nexus_worker.answering import Answering
from nexus_worker.body_limit import BodyLimit
from nexus_worker.errors import ApiError
from nexus_worker.replies import ChatReply, CompletionReply
from nexus_worker.requests import ChatRequest, CompletionRequest, invalid

_log = logging.getLogger("nexus.worker")

_TYPES = {404: "NotFoundError", 405: "MethodNotAllowedError", 413: "RequestEntityTooLargeError"}
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


def create_app(answering: Answering) -> FastAPI:
    app = FastAPI(title="nexus-worker", description=f"{answering.model} by {answering.engine.name}")
    app.add_middleware(BodyLimit)
    _add_error_handlers(app)

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        return await answering.answer(request, body, ChatReply)

    @app.post("/v1/completions")
    async def completions(body: CompletionRequest, request: Request) -> Response:
        return await answering.answer(request, body, CompletionReply)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [answering.model_card()]}

    @app.get("/health")
    async def health() -> Response:
        return Response(status_code=503 if answering.draining else 200)

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready() -> JSONResponse:
        return _readiness(answering)

    @app.get("/v2/models/{model}/ready")
    async def model_ready(model: str) -> JSONResponse:
        if model != answering.model:
            raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
        return _readiness(answering)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(answering.metrics.exposition(), media_type=_METRICS)

    return app


def _readiness(answering: Answering) -> JSONResponse:
    """As KServe's probes of the V2 protocol read it."""
    return JSONResponse({"ready": not answering.draining}, 503 if answering.draining else 200)


def _add_error_handlers(app: FastAPI) -> None:
    def handle(kind: type[Exception], translate: Callable[[Any], ApiError]) -> None:
        async def handler(request: Request, error: Exception) -> JSONResponse:
            translated = translate(error)
            return JSONResponse(translated.envelope(), translated.status)

        app.add_exception_handler(kind, handler)

    handle(ApiError, lambda error: error)
    handle(RequestValidationError, lambda error: invalid(error.errors()))
    handle(
        HTTPException, lambda error: ApiError(error.status_code, _TYPES.get(error.status_code, "Error"), error.detail)
    )
    handle(Exception, _unexpected)


def _unexpected(error: Exception) -> ApiError:
    _log.error("a request failed", exc_info=error)
    return ApiError(500, "InternalServerError", "the engine failed; see the worker's log")
