"""The same engine by gRPC: `serving/contracts/nexus_inference.proto`, on a port of its own in the same event loop."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import grpc

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import add_InferenceServicer_to_server
from nexus_worker.answering import Answering
from nexus_worker.body_limit import LARGEST
from nexus_worker.errors import ApiError, BadOption
from nexus_worker.generation import Generation
from nexus_worker.grpc_messages import chat_request, completion_request, finish_reason, usage
from nexus_worker.grpc_refusals import Context, Refusing
from nexus_worker.requests import ChatRequest, CompletionRequest

Body = ChatRequest | CompletionRequest
M = TypeVar("M")

_LAST_SECONDS = 1.0


class GrpcServer:
    """Started and stopped inside the event loop of the HTTP server."""

    def __init__(
        self,
        answering: Answering,
        host: str,
        port: int,
        tell: Callable[[str], None],
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        """Port 0 takes any free one; `tell` hears the address."""
        self._answering, self._host, self._port, self._tell = answering, host, port, tell
        self._interceptors = interceptors
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Raises BadOption where the port cannot be had."""
        self._server = grpc.aio.server(
            interceptors=self._interceptors,
            options=[("grpc.max_receive_message_length", LARGEST), ("grpc.so_reuseport", 0)],
        )
        add_InferenceServicer_to_server(_Calls(self._answering), self._server)
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            port = self._server.add_insecure_port(f"{host}:{self._port}")
        except RuntimeError as error:
            raise BadOption("--grpc-port", self._port, f"{self._host} cannot be listened on: {error}") from error
        await self._server.start()
        self._tell(f"grpc://{host}:{port}")

    async def stop(self) -> None:
        """By then only answers are left that ran out of their time, and last pieces that are on their way."""
        if self._server is not None:
            await self._server.stop(grace=_LAST_SECONDS)


class _Calls:
    """A call that its client leaves, or whose deadline passes, is cancelled by gRPC; closing the generator then cancels
    the engine's work."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def Chat(self, request: pb.ChatRequest, context: Context) -> pb.ChatAnswer:
        async with Refusing(context):
            generation = self._answering.admit(chat_request(request))
            text = await self._answering.text(generation)
            return pb.ChatAnswer(content=text, **self._heading("chatcmpl"), **_outcome(generation))

    async def StreamChat(self, request: pb.ChatRequest, context: Context) -> AsyncIterator[pb.ChatPiece]:
        async with Refusing(context), aclosing(self._chat(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def Converse(self, requests: AsyncIterator[pb.ChatRequest], context: Context) -> AsyncIterator[pb.ChatPiece]:
        async with Refusing(context):
            async for request in requests:
                async with aclosing(self._chat(request)) as pieces:
                    async for piece in pieces:
                        yield piece

    async def Complete(self, request: pb.CompletionRequest, context: Context) -> pb.CompletionAnswer:
        async with Refusing(context):
            generation = self._answering.admit(completion_request(request))
            text = await self._answering.text(generation)
            return pb.CompletionAnswer(text=text, **self._heading("cmpl"), **_outcome(generation))

    async def StreamComplete(
        self, request: pb.CompletionRequest, context: Context
    ) -> AsyncIterator[pb.CompletionPiece]:
        async with Refusing(context), aclosing(self._completion(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def Embed(self, request: pb.EmbeddingRequest, context: Context) -> pb.EmbeddingAnswer:
        async with Refusing(context):
            raise ApiError(501, "NotImplementedError", f"{self._answering.model} writes text and embeds none")

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsAnswer:
        card = self._answering.model_card()
        return pb.ListModelsAnswer(
            models=[pb.Model(**{name: card[name] for name in pb.Model.DESCRIPTOR.fields_by_name})]
        )

    async def CheckHealth(self, request: pb.CheckHealthRequest, context: Context) -> pb.CheckHealthAnswer:
        draining = self._answering.draining
        state = pb.CheckHealthAnswer.STATE_DRAINING if draining else pb.CheckHealthAnswer.STATE_SERVING
        return pb.CheckHealthAnswer(state=state)

    def _chat(self, request: pb.ChatRequest) -> AsyncGenerator[pb.ChatPiece, None]:
        return self._pieces("chatcmpl", chat_request(request), lambda text, more: pb.ChatPiece(content=text, **more))

    def _completion(self, request: pb.CompletionRequest) -> AsyncGenerator[pb.CompletionPiece, None]:
        return self._pieces(
            "cmpl", completion_request(request), lambda text, more: pb.CompletionPiece(text=text, **more)
        )

    async def _pieces(
        self, prefix: str, body: Body, made: Callable[[str, dict[str, Any]], M]
    ) -> AsyncGenerator[M, None]:
        generation = self._answering.admit(body)
        same = self._heading(prefix)
        async with aclosing(self._answering.pieces(generation)) as pieces:
            async for piece in pieces:
                yield made(piece, same)
        yield made("", same | _outcome(generation))

    def _heading(self, prefix: str) -> dict[str, Any]:
        return {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": self._answering.model}


def _outcome(generation: Generation) -> dict[str, Any]:
    return {"finish_reason": finish_reason(generation), "usage": usage(generation)}
