"""An engine that speaks the gRPC contract and misbehaves by the model's name, in a thread of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceServicer, add_InferenceServicer_to_server

LARGEST = 2**20
"""Bytes of a request, below what the gateway takes."""
WORDS = ("one", " two", " three")
USAGE = pb.Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=4)
CALL = pb.FunctionCall(id="call_1", name="weather", arguments='{"place": "Ulm"}')
STATUSES = {
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "internal": grpc.StatusCode.INTERNAL,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "no-network": grpc.StatusCode.UNAVAILABLE,
    "unimplemented": grpc.StatusCode.UNIMPLEMENTED,
}
"""Model -> the bare status that it fails with."""
BUSY = pb.Error(status=429, type="overloaded", message="no room", code="full", retry_after_seconds=7)


@dataclass
class Seen:
    model: str
    request: Any
    metadata: dict[str, str]
    seconds: float | None
    """Left until its deadline, as it came."""
    peer: str
    """The caller's end of the connection."""
    ended: str = ""
    """`whole`, or `cancelled`."""


@dataclass
class GrpcEngine(InferenceServicer):
    credentials: grpc.ServerCredentials | None = None
    serving: bool = True
    calls: list[Seen] = field(default_factory=list)
    checks: list[Seen] = field(default_factory=list)
    """Of its health."""
    port: int = 0

    def start(self) -> GrpcEngine:
        begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(begun)), daemon=True)
        self._thread.start()
        assert begun.wait(30)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def of(self, model: str) -> list[Seen]:
        return [seen for seen in self.calls if seen.model == model]

    async def _run(self, begun: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", LARGEST)])
        add_InferenceServicer_to_server(self, server)
        address = f"127.0.0.1:{self.port}"
        self.port = (
            server.add_secure_port(address, self.credentials) if self.credentials else server.add_insecure_port(address)
        )
        await server.start()
        begun.set()
        await self._stopped.wait()
        await server.stop(None)

    async def Chat(self, request: pb.ChatRequest, context: Any) -> pb.ChatAnswer:
        seen = await self._met(request, context)
        if request.tools:
            return pb.ChatAnswer(
                id="a",
                created=5,
                model=request.model,
                tool_calls=[CALL],
                finish_reason="FINISH_REASON_TOOL_CALLS",
                usage=USAGE,
            )
        seen.ended = "whole"
        return pb.ChatAnswer(
            id="a",
            created=5,
            model=request.model,
            content="x" * (65 << 20) if request.model == "huge" else "".join(WORDS),  # the gateway takes 64 MiB
            finish_reason="FINISH_REASON_STOP",
            usage=USAGE,
        )

    async def StreamChat(self, request: pb.ChatRequest, context: Any) -> AsyncIterator[pb.ChatPiece]:
        seen = await self._met(request, context)
        same = {"id": "a", "created": 5, "model": request.model}
        if request.tools:
            begun, ended = CALL.arguments[:5], CALL.arguments[5:]
            first = pb.FunctionCallPiece(index=0, id=CALL.id, name=CALL.name, arguments=begun)
            yield pb.ChatPiece(**same, tool_calls=[first])
            yield pb.ChatPiece(**same, tool_calls=[pb.FunctionCallPiece(index=0, arguments=ended)])
            yield pb.ChatPiece(**same, finish_reason="FINISH_REASON_TOOL_CALLS", usage=USAGE)
            return
        for number, word in enumerate(WORDS):
            if number == 1:
                await self._midway(request.model, seen, context)
            if number == 1 and request.model == "short":
                return
            yield pb.ChatPiece(**same, content=word)
        yield pb.ChatPiece(**same, finish_reason="FINISH_REASON_STOP", usage=USAGE)
        seen.ended = "whole"

    async def Embed(self, request: pb.EmbeddingRequest, context: Any) -> pb.EmbeddingAnswer:
        await self._met(request, context)
        vectors = [pb.Embedding(values=[0.5, float(len(text))]) for text in request.input]
        return pb.EmbeddingAnswer(model=request.model, embeddings=vectors, usage=pb.Usage(prompt_tokens=2))

    async def CheckHealth(self, request: pb.CheckHealthRequest, context: Any) -> pb.CheckHealthAnswer:
        self.checks.append(self._seen("", request, context))
        return pb.CheckHealthAnswer(state="STATE_SERVING" if self.serving else "STATE_DRAINING")

    async def _met(self, request: Any, context: Any) -> Seen:
        seen = self._seen(request.model, request, context)
        self.calls.append(seen)
        if request.model in STATUSES:
            await context.abort(STATUSES[request.model], "it said so")
        if request.model == "busy":
            trailer = (("nexus-error-bin", BUSY.SerializeToString()),)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room", trailer)
        if request.model == "stall":
            await self._cancelled(seen)
        return seen

    def _seen(self, model: str, request: Any, context: Any) -> Seen:
        metadata = dict(context.invocation_metadata())
        return Seen(model, request, metadata, context.time_remaining(), context.peer())

    async def _midway(self, model: str, seen: Seen, context: Any) -> None:
        if model == "broken":
            await context.abort(grpc.StatusCode.INTERNAL, "it broke")
        if model == "stall-midway":
            await self._cancelled(seen)

    async def _cancelled(self, seen: Seen) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.ended = "cancelled"
