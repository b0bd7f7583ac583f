"""A client's body as a message of the gRPC contract.

The contract has OpenAI's fields as far as engines compute them. A field that it has not is refused with 400: an answer
that silently passes over it would be another than was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nexus_gateway.upstreams.refusals import NotTaken
from nexus_inference import nexus_inference_pb2 as pb

T = TypeVar("T")

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "echo": (False,),
    "suffix": ("",),
    "logit_bias": ({},),
    "store": (False,),
    "modalities": (["text"],),
    "encoding_format": ("float", "base64"),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
}
"""Field that the contract has not -> the values under which it asks for nothing; null does as well."""

_OURS = frozenset({"model", "stream", "stream_options"})
_SAMPLING = frozenset(field.name for field in pb.Sampling.DESCRIPTOR.fields) - {"stop"}


def read(body: bytes) -> dict[str, Any]:
    """Raises NotTaken for what the gateway passes over, and nobody could count with: thousands of digits."""
    asked: dict[str, Any] = _made("body", lambda: json.loads(body))
    return asked


def chat(asked: Mapping[str, Any]) -> pb.ChatRequest:
    """Raises NotTaken."""
    left = _Left(asked)
    return pb.ChatRequest(
        model=asked["model"],
        messages=[_message(message) for message in left.take("messages", _list) or ()],
        sampling=_sampling(left, left.take("max_completion_tokens", _as_it_is)),
        tools=[_tool(tool) for tool in left.take("tools", _list) or ()],
        tool_choice=left.take("tool_choice", _choice) or "",
        parallel_tool_calls=left.take("parallel_tool_calls", _flag),
        response_format=left.take("response_format", json.dumps) or "",
        user=left.take("user", _text) or "",
        prompt_cache_key=left.take("prompt_cache_key", _text) or "",
        **left.nothing_else(),
    )


def completion(asked: Mapping[str, Any]) -> pb.CompletionRequest:
    """Raises NotTaken."""
    left = _Left(asked)
    request = pb.CompletionRequest(
        model=asked["model"],
        sampling=_sampling(left),
        user=left.take("user", _text) or "",
        **left.nothing_else("prompt"),
    )
    prompt = asked.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        (prompt,) = prompt
    if isinstance(prompt, str):
        request.text = prompt
    elif isinstance(prompt, list) and all(isinstance(token, int) for token in prompt):
        _made("prompt", lambda: request.tokens.ids.extend(prompt))
    else:
        raise NotTaken("prompt", "give one text, or the ids of its tokens")
    return request


def embedding(asked: Mapping[str, Any]) -> pb.EmbeddingRequest:
    """Raises NotTaken."""
    left = _Left(asked)
    said = left.take("input", _as_it_is)
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise NotTaken("input", "give a text, or a list of texts")
    dimensions, user = left.take("dimensions", _as_it_is), left.take("user", _text) or ""
    left.nothing_else()
    return _made(
        "dimensions",
        lambda: pb.EmbeddingRequest(model=asked["model"], input=texts, dimensions=dimensions, user=user),
    )


class _Left:
    """The fields that nobody has taken yet."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._fields = {name: value for name, value in asked.items() if value is not None and name not in _OURS}

    def take(self, name: str, read: Callable[[Any], T]) -> T | None:
        """None where it is absent. Raises NotTaken for a value of another kind than `read` reads."""
        if name not in self._fields:
            return None
        value = self._fields.pop(name)
        return _made(name, lambda: read(value))

    def nothing_else(self, *but: str) -> dict[str, Any]:
        """Empty. Raises NotTaken for the first field that would change the answer and that the contract has not."""
        for name, value in self._fields.items():
            if name not in but and value not in _NEUTRAL.get(name, ()):
                raise NotTaken(name[:64], "an engine that is asked by gRPC is not told this field")
        return {}


def _sampling(left: _Left, tokens: Any = None) -> pb.Sampling:
    sampling = pb.Sampling()
    for name in sorted(_SAMPLING):
        if (value := left.take(name, _as_it_is)) is not None:
            _made(name, lambda name=name, value=value: setattr(sampling, name, value))  # type: ignore[misc]  # bound now
    if tokens is not None:
        _made("max_completion_tokens", lambda: setattr(sampling, "max_tokens", tokens))
    stop = left.take("stop", _as_it_is)
    _made("stop", lambda: sampling.stop.extend([stop] if isinstance(stop, str) else stop or ()))
    return sampling


def _message(message: Any) -> pb.Message:
    return _made("messages", lambda: _read_message(message))


def _read_message(message: Mapping[str, Any]) -> pb.Message:
    content = message.get("content") or ()
    parts = [pb.ContentPart(text=content)] if isinstance(content, str) else [_part(part) for part in content]
    return pb.Message(
        role=message["role"],
        content=parts,
        name=message.get("name") or "",
        tool_call_id=message.get("tool_call_id") or "",
        tool_calls=[_called(call) for call in message.get("tool_calls") or ()],
    )


def _part(part: Mapping[str, Any]) -> pb.ContentPart:
    if part["type"] == "text":
        return pb.ContentPart(text=part["text"])
    if part["type"] == "image_url":
        return pb.ContentPart(image_url=part["image_url"]["url"])
    raise NotTaken("messages", f"an engine that is asked by gRPC reads no {str(part['type'])[:32]}")


def _called(call: Mapping[str, Any]) -> pb.FunctionCall:
    function = call["function"]
    return pb.FunctionCall(id=call["id"], name=function["name"], arguments=function["arguments"])


def _tool(tool: Any) -> pb.Tool:
    return _made("tools", lambda: _read_tool(tool))


def _read_tool(tool: Mapping[str, Any]) -> pb.Tool:
    if tool["type"] != "function":
        raise NotTaken("tools", "an engine that is asked by gRPC is told of functions only")
    function = tool["function"]
    return pb.Tool(
        name=function["name"],
        description=function.get("description") or "",
        parameters=json.dumps(function["parameters"]) if "parameters" in function else "",
        strict=function.get("strict"),
    )


def _choice(value: Any) -> str:
    return value if isinstance(value, str) else str(value["function"]["name"])


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is wanted")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is wanted")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is wanted")
    return value


def _as_it_is(value: Any) -> Any:
    return value


def _made(field: str, make: Callable[[], T]) -> T:
    """Raises NotTaken, where protobuf or a lookup says that a value is of another kind."""
    try:
        return make()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotTaken(field, f"not what OpenAI's API has there: {str(error)[:200]}") from None
