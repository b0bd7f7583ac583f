"""`mock://local` answers, `mock://fail` does not, `mock://slow?ttft=0.5&itl=0.1` takes its time (seconds)."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from nexus_gateway.exchange import Waiter, given
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.upstreams.mock_answers import streamed, whole
from nexus_gateway.upstreams.protocol import Call, ResponseHead, UpstreamFault, UpstreamSlow

T = TypeVar("T")
_NONE = b'{"detail": "Not Found"}'


class MockUpstream:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._fails = parts.hostname == "fail"
        self._ttft, self._itl = (float(query.get(name, ["0"])[0]) for name in ("ttft", "itl"))

    def send(self, call: Call) -> MockAnswer:
        asked = json.loads(call.body) if call.path in SURFACES else {}
        return MockAnswer(call.path, asked, fails=self._fails, ttft=self._ttft, itl=self._itl)

    def close(self) -> None:
        """Nothing is held."""


class MockAnswer:
    def __init__(self, path: str, asked: dict[str, object], *, fails: bool, ttft: float, itl: float) -> None:
        self._fails, self._ttft, self._itl = fails, ttft, itl
        self._known = path in SURFACES  # it keeps no responses
        self._stream = self._known and bool(asked.get("stream")) and SURFACES[path].streams
        self._chunks = deque(streamed(path, asked) if self._stream else [whole(path, asked) if self._known else _NONE])
        self._waiting: Waiter[ResponseHead] | Waiter[bytes] | None = None

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        if self._fails:
            waiter: Waiter[ResponseHead] = Waiter()
            waiter.fail(UpstreamFault("the mock was asked to fail"))
            return waiter
        kind = b"text/event-stream" if self._stream else b"application/json"
        return self._later(ResponseHead(200 if self._known else 404, [(b"content-type", kind)]), self._ttft, seconds)

    def chunk(self, seconds: float) -> Waiter[bytes]:
        return self._later(self._chunks.popleft() if self._chunks else b"", self._itl, seconds)

    def abort(self, error: BaseException) -> None:
        if self._waiting is not None:
            self._waiting.fail(error)

    def _later(self, value: T, after: float, seconds: float) -> Waiter[T]:
        if not after:
            return given(value)
        waiter: Waiter[T] = Waiter()
        self._waiting = waiter  # type: ignore[assignment]  # only `fail` is called through it
        loop = asyncio.get_running_loop()
        if after > seconds:
            loop.call_later(seconds, waiter.fail, UpstreamSlow("the mock took too long"))
        else:
            loop.call_later(after, waiter.give, value)
        return waiter
