"""The Messages API from an engine that speaks chat completions alone."""

from __future__ import annotations

import json
from dataclasses import replace

from nexus_gateway.envelopes import ANTHROPIC_TYPES
from nexus_gateway.messages.answer import Untellable, from_chat
from nexus_gateway.messages.request import to_chat, to_tokenize
from nexus_gateway.messages.stream import ChatToMessages
from nexus_gateway.upstreams.changed_answer import ChangedAnswer, Take, Whole
from nexus_gateway.upstreams.protocol import Call, ResponseHead, Upstream

COUNT_PATH = "/v1/messages/count_tokens"
_PATHS = {"/v1/messages": "/v1/chat/completions", COUNT_PATH: "/tokenize"}
"""Ours -> the engine's; counting is vLLM's own."""


def said_to_engine(path: str, body: bytes) -> bytes:
    """The body of a call, before any engine is asked. Raises Refusal."""
    return to_tokenize(body) if path == COUNT_PATH else to_chat(body)


class MessagesOverChat:
    """Around the engine's own upstream. The body of a call is what `said_to_engine` has made of the client's."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def send(self, call: Call) -> ChangedAnswer:
        answer = self._upstream.send(replace(call, path=_PATHS[call.path]))
        return ChangedAnswer(answer, _Translation(call).begin, "its answer is no chat completion")

    def close(self) -> None:
        self._upstream.close()


class _Translation:
    def __init__(self, call: Call) -> None:
        self._path = call.path
        self._request_id = next((value.decode() for name, value in call.headers if name == b"x-request-id"), "")
        self._status = 0
        self._stream = ChatToMessages()

    def begin(self, heard: ResponseHead) -> tuple[ResponseHead, Take]:
        found = _of_counting(heard) if self._path == COUNT_PATH else heard
        self._status = found.status
        streams = found.first(b"content-type").startswith(b"text/event-stream")
        return found, self._take if streams else Whole(self._whole).take

    def _take(self, data: bytes) -> bytes | None:
        """A chat that ends without its mark ends this stream without its own."""
        return self._stream.feed(data) or None if data else b""

    def _whole(self, body: bytes) -> bytes:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return body  # the relay says what is wrong with it
        if not isinstance(document, dict):
            return body
        if self._status == 200:
            return json.dumps(self._answered(document)).encode()
        return json.dumps(_complaint(self._status, document, self._request_id)).encode()

    def _answered(self, document: dict[str, object]) -> dict[str, object]:
        if self._path != COUNT_PATH:
            return from_chat(document)
        if type(document.get("count")) is not int:
            raise Untellable("its answer holds no count")
        return {"input_tokens": document["count"]}


def _of_counting(heard: ResponseHead) -> ResponseHead:
    """Not every engine counts. Its 404 is of a path that the client has not asked for, whatever body it has."""
    return replace(heard, status=501) if heard.status == 404 else heard


def _complaint(status: int, document: dict[str, object], request_id: str) -> dict[str, object]:
    """The engine's own words in the other API's envelope. What is no complaint that is known stays as it is: the relay
    tells by it a path that the engine lacks."""
    words = _words(document)
    if words is None:
        return document
    kind = ANTHROPIC_TYPES.get(status, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": words}, "request_id": request_id}


def _words(document: dict[str, object]) -> str | None:
    """OpenAI's shape; one whose `error` is the text; that of older vLLM, which has `object` instead of `error`."""
    error = document.get("error", document if document.get("object") == "error" else None)
    words = error.get("message") if isinstance(error, dict) else error
    return words if isinstance(words, str) else None
