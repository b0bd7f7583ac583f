"""One kept connection over which streamed answers are taken, with the moment of each event.

Smaller than a client library on purpose: what the client spends on an event is measured as the engine's time, and at
256 streams httpx would be what is measured.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from .questions import Question


def tls(url: str) -> ssl.SSLContext | None:
    """By which a server of https is trusted: the machine's authorities, or those of SSL_CERT_FILE."""
    return ssl.create_default_context() if urlsplit(url).scheme == "https" else None


@dataclass(frozen=True)
class Target:
    """A model of an OpenAI endpoint."""

    name: str
    url: str
    """http or https, without `/v1`."""
    model: str
    key: str = "none"
    ignore_eos: bool = True
    """An answer is as long as was asked for; OpenAI's own API refuses the field."""

    def request(self, question: Question) -> bytes:
        body = msgspec.json.encode({
            "model": self.model,
            "messages": [{"role": "user", "content": question.prompt}],
            "max_tokens": question.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            **({"ignore_eos": True} if self.ignore_eos else {}),
        })  # fmt: skip
        parts = urlsplit(self.url)
        head = (
            f"POST {parts.path.rstrip('/')}/v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"authorization: Bearer {self.key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass
class Answer:
    """Times by `time.perf_counter`."""

    due: float
    """When it should have been sent: waiting for a free client counts as waiting for the answer."""
    texts: list[float] = field(default_factory=list)
    """When each event with text came."""
    ended: float = 0.0
    tokens: int = 0
    """Of the answer, as the engine counts them."""
    error: str = ""
    """Why it does not count; empty where it is whole."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, where the engine says so."""

    @property
    def first(self) -> float:
        """Seconds to the first text."""
        return self.texts[0] - self.due

    @property
    def gaps(self) -> list[float]:
        """Seconds between one event with text and the next: 0 where they came together."""
        return [later - sooner for sooner, later in zip(self.texts, self.texts[1:], strict=False)]

    @property
    def pace(self) -> float:
        """Seconds of each token after the first text, however they came."""
        return (self.texts[-1] - self.texts[0]) / max(1, self.tokens - 1)

    @property
    def whole(self) -> float:
        return self.ended - self.due


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Details(msgspec.Struct):
    cached_tokens: int | None = 0


class _Usage(msgspec.Struct):
    completion_tokens: int = 0
    prompt_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class Connection(asyncio.Protocol):
    """Asks one thing at a time."""

    def __init__(self) -> None:
        self.open, self.lost = False, asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._rest, self._finished = b"", False
        self._answer: Answer | None = None
        self._done: asyncio.Future[None] | None = None

    @classmethod
    async def to(cls, target: Target, trust: ssl.SSLContext | None) -> Connection:
        """`trust` is `tls` of its address, made once. Raises OSError, also for a server that is not trusted."""
        parts = urlsplit(target.url)
        loop = asyncio.get_running_loop()
        port = parts.port or (443 if trust else 80)
        _, connection = await loop.create_connection(cls, parts.hostname, port, ssl=trust)
        return connection

    async def ask(self, request: bytes, answer: Answer, seconds: float) -> None:
        """Fills `answer`; what goes wrong is its `error`, and then the connection is closed."""
        assert self._transport
        self._parser, self._rest, self._finished = httptools.HttpResponseParser(self), b"", False
        self._answer, self._done = answer, asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(seconds):
                await self._done
        except TimeoutError:
            answer.error = f"not within {seconds:g} s"
        answer.ended = time.perf_counter()
        self._answer = None
        answer.error = answer.error or self._fault(answer)
        if answer.error:
            self.close()

    def close(self) -> None:
        self.open = False
        if self._transport:
            self._transport.abort()  # no farewell by TLS, for which an engine that hangs would be waited for

    def _fault(self, answer: Answer) -> str:
        if not self._finished:
            return "the stream broke off"
        if not answer.texts:
            return "no text"
        return "" if answer.tokens else "no usage"

    # --- what asyncio and httptools call --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast(asyncio.Transport, transport), True  # uvloop's is of no such class

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self.lost.set()
        self._settle()

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._answer.error = "not understood"
            self._settle()

    def on_body(self, data: bytes) -> None:
        assert self._answer
        if self._parser.get_status_code() != 200:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._take(line[5:].strip(), self._answer)

    def on_message_complete(self) -> None:
        assert self._answer
        if (status := self._parser.get_status_code()) != 200:
            self._answer.error = f"status {status}"
        if not self._parser.should_keep_alive():
            self.close()
        self._settle()

    def _take(self, data: bytes, answer: Answer) -> None:
        if data == b"[DONE]":
            self._finished = True
            return
        try:
            event = _decode(data)
        except msgspec.DecodeError:
            answer.error = "not understood"
            self._settle()
            return
        if event.error is not None:
            answer.error = "an error in the stream"
        if event.usage:
            answer.tokens, answer.prompt_tokens = event.usage.completion_tokens, event.usage.prompt_tokens
            details = event.usage.prompt_tokens_details
            answer.cached_tokens = (details.cached_tokens or 0) if details else 0
        if any(choice.delta.content or choice.delta.reasoning_content for choice in event.choices):
            answer.texts.append(time.perf_counter())

    def _settle(self) -> None:
        if self._done and not self._done.done():
            self._done.set_result(None)
