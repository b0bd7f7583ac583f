"""From an accepted body to the last byte of its answer, streamed or whole."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from nexus_worker.client_leaving import unless_client_leaves
from nexus_worker.engines.engine import Engine
from nexus_worker.errors import ApiError
from nexus_worker.generation import Generation, generate
from nexus_worker.metrics import Metrics
from nexus_worker.replies import END, Reply, error_event, event
from nexus_worker.requests import ChatRequest, CompletionRequest

_log = logging.getLogger("nexus.worker")

_CLIENT_LEFT = 499  # never sent: there is nobody to read it


@dataclass(frozen=True)
class UsageTold:
    always: bool = False
    """Ends every stream with its usage, also where it is not asked for."""
    details: bool = False
    """With the prompt tokens that were cached, where the engine keeps any."""


class Answering:
    """One engine under one public name. `draining` refuses what is new, and lets finish what has begun."""

    def __init__(self, engine: Engine, *, model: str, usage: UsageTold) -> None:
        self.engine, self.model = engine, model
        self.metrics = Metrics(model, engine)
        self.draining = False
        self.in_flight = 0
        self._usage = usage
        self._created = int(time.time())

    async def answer(
        self, request: Request, body: ChatRequest | CompletionRequest, reply_type: type[Reply]
    ) -> Response:
        """Raises ApiError: before the first byte of a stream, so that the status can still say it."""
        reply, generation = self.reply(reply_type), self.admit(body)
        if not body.stream:
            # A stream notices by itself that nobody reads it.
            whole = await unless_client_leaves(request.receive, self._whole(generation, reply))
            return whole or Response(status_code=_CLIENT_LEFT)
        with_usage = self._usage.always or (body.stream_options is not None and body.stream_options.include_usage)
        return _Stream(self._events(generation, reply, with_usage))

    def reply(self, reply_type: type[Reply]) -> Reply:
        return reply_type(self.model, with_details=self._usage.details)

    def admit(self, body: ChatRequest | CompletionRequest) -> Generation:
        """Raises ApiError."""
        if self.draining:
            raise ApiError(503, "ServiceUnavailableError", "the engine is shutting down")
        if body.model not in {None, self.model}:
            raise ApiError(404, "NotFoundError", f"The model `{body.model}` does not exist.", "model")
        return body.for_engine(self.engine)

    async def pieces(self, generation: Generation) -> AsyncGenerator[str, None]:
        """The text of an admitted request, as it becomes certain. Closing it cancels the engine's work."""
        with self._counted():
            async with aclosing(generate(self.engine, self.metrics, generation)) as pieces:
                async for piece in pieces:
                    yield piece

    async def text(self, generation: Generation) -> str:
        """The whole of it. Cancelling it cancels the engine's work."""
        async with aclosing(self.pieces(generation)) as pieces:
            return "".join([piece async for piece in pieces])

    async def _whole(self, generation: Generation, reply: Reply) -> Response:
        return JSONResponse(reply.whole(await self.text(generation), generation))

    async def _events(self, generation: Generation, reply: Reply, with_usage: bool) -> AsyncGenerator[bytes, None]:
        """After the first byte a failure is an error event, and then there is no [DONE]."""
        with self._counted():
            try:
                for chunk in reply.opening():
                    yield event(chunk)
                async with aclosing(generate(self.engine, self.metrics, generation)) as pieces:
                    async for piece in pieces:
                        yield event(reply.piece(piece))
            except Exception:
                _log.exception("a stream failed")
                yield error_event(ApiError(500, "InternalServerError", "the engine failed; see the worker's log"))
                return
            yield event(reply.closing(generation.finish_reason))
            if with_usage:
                yield event(reply.usage(generation))
            yield END

    def model_card(self) -> dict[str, Any]:
        return {
            "id": self.model,
            "object": "model",
            "created": self._created,
            "owned_by": "nexus",
            "root": self.model,
            "parent": None,
            "max_model_len": self.engine.context,
        }

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class _Stream(StreamingResponse):
    """Closes its events however it ends: where a client leaves while the socket is full, nothing else would until the
    garbage is collected, and the engine's place stays taken."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)
