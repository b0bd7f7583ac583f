"""The Messages API from an engine that speaks chat completions alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

from nexus_gateway.envelopes import ANTHROPIC_TYPES
from nexus_gateway.exchange import Waiter, given
from nexus_gateway.messages.answer import BadAnswer, Untellable, from_chat
from nexus_gateway.messages.request import to_chat, to_tokenize
from nexus_gateway.messages.stream import ChatToMessages
from nexus_gateway.stream import BadStream
from nexus_gateway.upstreams.protocol import (
    Answer,
    Call,
    ResponseHead,
    UnusableAnswer,
    Upstream,
    UpstreamFault,
    UpstreamSlow,
)

COUNT_PATH = "/v1/messages/count_tokens"
_PATHS = {"/v1/messages": "/v1/chat/completions", COUNT_PATH: "/tokenize"}
"""Ours -> the engine's; counting is vLLM's own."""
_LARGEST = 16 << 20  # bytes of an answer in one piece


def said_to_engine(path: str, body: bytes) -> bytes:
    """The body of a call, before any engine is asked. Raises Refusal."""
    return to_tokenize(body) if path == COUNT_PATH else to_chat(body)


class MessagesOverChat:
    """Around the engine's own upstream. The body of a call is what `said_to_engine` has made of the client's."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def send(self, call: Call) -> TranslatedAnswer:
        return TranslatedAnswer(self._upstream.send(replace(call, path=_PATHS[call.path])), call)

    def close(self) -> None:
        self._upstream.close()


class TranslatedAnswer:
    def __init__(self, answer: Answer, call: Call) -> None:
        self._answer, self._path = answer, call.path
        self._request_id = next((value.decode() for name, value in call.headers if name == b"x-request-id"), "")
        self._status = 0
        self._stream: ChatToMessages | None = None
        self._ended = False

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        told: Waiter[ResponseHead] = Waiter()
        heard = self._answer.head(seconds)

        def settle() -> None:
            if heard.error is not None:
                told.fail(heard.error)
                return
            found = _of_counting(heard.value) if self._path == COUNT_PATH else heard.value
            self._status = found.status
            if found.first(b"content-type").startswith(b"text/event-stream"):
                self._stream = ChatToMessages()
            told.give(found)

        heard.then(settle)
        return told

    def chunk(self, seconds: float) -> Waiter[bytes]:
        if self._ended:
            return given(b"")
        pull = _Pull(self._answer, seconds, self._take if self._stream else _Whole(self._whole).take)
        pull.go_on()
        return pull.told

    def abort(self, error: BaseException) -> None:
        self._answer.abort(error)

    def _take(self, data: bytes) -> bytes | None:
        """None where nothing can be told yet. A chat that ends without its mark ends this stream without its own."""
        assert self._stream is not None  # noqa: S101 - narrows for mypy; it is chosen where there is one
        self._ended = not data
        return self._stream.feed(data) or None if data else b""

    def _whole(self, body: bytes) -> bytes:
        self._ended = True
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


class _Whole:
    """Keeps what comes until it ends."""

    def __init__(self, translate: Callable[[bytes], bytes]) -> None:
        self._translate, self._pieces, self._size = translate, list[bytes](), 0

    def take(self, data: bytes) -> bytes | None:
        if not data:
            return self._translate(b"".join(self._pieces))
        self._size += len(data)
        if self._size > _LARGEST:
            raise BadAnswer("its answer is too large")
        self._pieces.append(data)
        return None


class _Pull:
    """Asks the engine for more until there is something to tell, within one deadline for all of it."""

    def __init__(self, answer: Answer, seconds: float, take: Callable[[bytes], bytes | None]) -> None:
        self.told: Waiter[bytes] = Waiter()
        self._answer, self._take = answer, take
        self._until = asyncio.get_running_loop().time() + seconds

    def go_on(self) -> None:
        while not self.told.settled:
            left = self._until - asyncio.get_running_loop().time()
            if left <= 0:
                self.told.fail(UpstreamSlow("it was silent for too long in the middle of its answer"))
                return
            heard = self._answer.chunk(left)
            if not heard.settled:
                heard.then(lambda heard=heard: self._resume(heard))  # type: ignore[misc]  # bound now, not at the end
                return
            self._hear(heard)

    def _resume(self, heard: Waiter[bytes]) -> None:
        self._hear(heard)
        self.go_on()

    def _hear(self, heard: Waiter[bytes]) -> None:
        if heard.error is not None:
            self.told.fail(heard.error)
            return
        try:
            out = self._take(heard.value)
        except Untellable as fault:
            self.told.fail(UnusableAnswer(str(fault)))
            return
        except (BadStream, BadAnswer) as fault:
            self.told.fail(UpstreamFault(str(fault)))
            return
        except Exception:  # whatever a document of another shape does, who waits here is told
            self.told.fail(UpstreamFault("its answer is no chat completion"))
            return
        if out is not None:
            self.told.give(out)


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
