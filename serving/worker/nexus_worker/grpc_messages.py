"""Between the messages of the gRPC contract and the worker's own requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from nexus_inference import nexus_inference_pb2 as pb
from nexus_worker.errors import ApiError
from nexus_worker.generation import Generation
from nexus_worker.requests import ChatRequest, CompletionRequest, invalid

B = TypeVar("B", ChatRequest, CompletionRequest)

_FINISHED: Mapping[str | None, pb.FinishReason] = {
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
    None: pb.FINISH_REASON_UNSPECIFIED,
}


def chat_request(asked: pb.ChatRequest) -> ChatRequest:
    """Raises ApiError, as the same request over HTTP does."""
    said = {
        "messages": [_message(message) for message in asked.messages],
        "tools": [tool.name for tool in asked.tools],
        "tool_choice": asked.tool_choice or None,
        "response_format": asked.response_format or None,
    }
    return _validated(ChatRequest, asked.model, asked.sampling, said)


def completion_request(asked: pb.CompletionRequest) -> CompletionRequest:
    """Raises ApiError."""
    prompt = list(asked.tokens.ids) if asked.WhichOneof("prompt") == "tokens" else asked.text
    return _validated(CompletionRequest, asked.model, asked.sampling, {"prompt": prompt})


def usage(generation: Generation) -> pb.Usage:
    cached = generation.prefix.cached or 0
    return pb.Usage(prompt_tokens=len(generation.prompt), completion_tokens=generation.tokens, cached_tokens=cached)


def finish_reason(generation: Generation) -> pb.FinishReason:
    return _FINISHED[generation.finish_reason]


def _validated(kind: type[B], model: str, sampling: pb.Sampling, said: dict[str, Any]) -> B:
    chosen = {field.name: value for field, value in sampling.ListFields()}
    if "stop" in chosen:
        chosen["stop"] = list(sampling.stop)
    try:
        return kind.model_validate({"model": model or None, **said, **chosen})
    except ValidationError as error:
        raise invalid(error.errors()) from None


def _message(message: pb.Message) -> dict[str, Any]:
    if message.tool_calls or any(part.WhichOneof("part") == "image_url" for part in message.content):
        raise ApiError.bad_request("messages: this engine reads text alone", "messages")
    return {"role": message.role, "content": [{"type": "text", "text": part.text} for part in message.content]}
