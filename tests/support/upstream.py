"""An engine that misbehaves on request: the first part of the path says how.

`http://127.0.0.1:PORT/ok/v1/chat/completions` answers, `/reset/…` breaks off, and so on; see `_BEHAVIOURS`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from . import assistant, chatting, hosted, parrot, spoken

WORDS = ("one ", "two ", "three")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass
class Seen:
    """One request as the engine got it."""

    behaviour: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"
    path: str = ""
    """After the behaviour's name."""
    answered: bytearray = field(default_factory=bytearray)
    """The body of the answer, without its framing; of a very large one its beginning."""
    cut_off: threading.Event = field(default_factory=threading.Event)
    """Set when the connection was closed before the answer was whole."""


class Engine:
    """Runs in a thread; `url(behaviour)` is its address."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self.port = 0
        self.connections = 0
        self.health: dict[str, int] = {}
        """Behaviour -> status of its health check; 200 where it is not named."""
        self.checked: list[str] = []
        self.gate = threading.Event()
        """Opens the answers of the behaviour `gated` that wait for it."""

    def start(self) -> Engine:
        self._thread.start()
        assert self._started.wait(60)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}"

    def of(self, behaviour: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.behaviour == behaviour]

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (seen := await _read(reader)) is not None:
                if seen.method == "GET":
                    self.checked.append(seen.behaviour)
                    writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.health.get(seen.behaviour, 200))
                    continue
                turn = len(self.of(seen.behaviour))
                self.seen.append(seen)
                try:
                    behave = _release if seen.behaviour.startswith("release-") else _BEHAVIOURS[seen.behaviour]
                    await behave(json.loads(seen.body), _Out(writer, reader, seen, self.gate, turn))
                except (ConnectionError, _CutOff):
                    seen.cut_off.set()
                    return
        finally:
            writer.close()


class _CutOff(Exception):
    pass


@dataclass
class _Out:
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader
    seen: Seen
    gate: threading.Event
    turn: int
    """How many requests of the same behaviour came before."""

    async def head(self, status: int = 200, *, kind: str = "application/json", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def json(self, document: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(document).encode()
        await self.head(status, content_length=str(len(body)), **headers)
        self.seen.answered += body
        await self.raw(body)

    async def chunk(self, data: bytes) -> None:
        if len(self.seen.answered) < 1 << 20:
            self.seen.answered += data
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def events(self, events: list[bytes]) -> None:
        await self.head(kind="text/event-stream", transfer_encoding="chunked")
        for data in events:
            await self.chunk(data)
        await self.raw(b"0\r\n\r\n")

    async def hang(self) -> None:
        """Until the other side leaves."""
        if not await self.reader.read(1):
            raise _CutOff


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def piece(text: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def whole() -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}


async def _ok(asked: dict[str, Any], out: _Out) -> None:
    if not asked.get("stream"):
        await out.json(whole())
        return
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    for word in WORDS:
        await out.chunk(event(piece(word)))
    await out.chunk(event({**piece(""), "choices": [], "usage": USAGE}) + b"data: [DONE]\n\n")
    await out.raw(b"0\r\n\r\n")


async def _cached(asked: dict[str, Any], out: _Out) -> None:
    """Has kept five tokens of the prompt; its account comes with the answer, or with a stream's last event."""
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 5}}
    if not asked.get("stream"):
        await out.json({**whole(), "usage": usage})
        return
    await _begun(asked, out)
    await out.chunk(event({**piece(""), "choices": [], "usage": usage}) + b"data: [DONE]\n\n")
    await out.raw(b"0\r\n\r\n")


async def _begun(asked: dict[str, Any], out: _Out) -> None:
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    await out.chunk(event(piece(WORDS[0])))


async def _reset(asked: dict[str, Any], out: _Out) -> None:
    await _begun(asked, out)
    out.writer.transport.abort()


async def _short(asked: dict[str, Any], out: _Out) -> None:
    """Ends cleanly, but without [DONE]."""
    await _begun(asked, out)
    await out.raw(b"0\r\n\r\n")


async def _stall(asked: dict[str, Any], out: _Out) -> None:
    await out.hang()


async def _stall_midway(asked: dict[str, Any], out: _Out) -> None:
    await _begun(asked, out)
    await out.hang()


async def _error_event(asked: dict[str, Any], out: _Out) -> None:
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    await out.chunk(event({"error": {"message": "out of memory at 10.1.2.3"}}))
    await out.raw(b"0\r\n\r\n")


async def _late_error_event(asked: dict[str, Any], out: _Out) -> None:
    await _begun(asked, out)
    await out.chunk(event({"error": {"message": "out of memory at 10.1.2.3"}}))
    await out.raw(b"0\r\n\r\n")


async def _split(asked: dict[str, Any], out: _Out) -> None:
    """The same bytes as `ok`, one at a time, with CRLF and a comment."""
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    data = b": hello\r\n\r\n" + b"".join(event(piece(word)).replace(b"\n", b"\r\n") for word in WORDS)
    for place in range(len(data)):
        await out.chunk(data[place : place + 1])
    await out.chunk(b"data: [DONE]\r\n\r\ndata: after the end\r\n\r\n")
    await out.raw(b"0\r\n\r\n")


async def _flood(asked: dict[str, Any], out: _Out) -> None:
    """64 MiB of stream, as fast as it is taken."""
    await _begun(asked, out)
    block = event(piece("x" * 65_000))
    for _ in range(1024):
        await out.chunk(block)
    await out.chunk(b"data: [DONE]\n\n")
    await out.raw(b"0\r\n\r\n")


async def _release(asked: dict[str, Any], out: _Out) -> None:
    """Its text is its own name: `release-…`."""
    name = out.seen.behaviour
    if not asked.get("stream"):
        await out.json({**whole(), "text": name})
        return
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    for text in (name, " and", " more"):
        await out.chunk(event(piece(text)))
    await out.chunk(b"data: [DONE]\n\n")
    await out.raw(b"0\r\n\r\n")


async def _gated(asked: dict[str, Any], out: _Out) -> None:
    """`bytes` of text; with `wait` not before the gate is open."""
    if asked.get("wait"):
        await asyncio.to_thread(out.gate.wait, 60)
    await out.json({**whole(), "text": "x" * asked.get("bytes", 0)})


async def _gated_failure(asked: dict[str, Any], out: _Out) -> None:
    await asyncio.to_thread(out.gate.wait, 60)
    await out.json({"error": {"message": "status 500 from 10.1.2.3"}}, 500)


async def _gated_stream(asked: dict[str, Any], out: _Out) -> None:
    """The first word at once; when the gate is open `bytes` of text as fast as they are taken, and the rest."""
    await _begun(asked, out)
    await asyncio.to_thread(out.gate.wait, 60)
    for _ in range(asked.get("bytes", 0) // 10_000):
        await out.chunk(event(piece("x" * 10_000)))
    for word in WORDS[1:]:
        await out.chunk(event(piece(word)))
    await out.chunk(event({**piece(""), "choices": [], "usage": USAGE}) + b"data: [DONE]\n\n")
    await out.raw(b"0\r\n\r\n")


async def _comments(asked: dict[str, Any], out: _Out) -> None:
    """Never says anything, and never falls silent."""
    await out.head(kind="text/event-stream", transfer_encoding="chunked")
    while True:
        await out.chunk(b": still here\n\n")
        await asyncio.sleep(0.02)


async def _unasked(asked: dict[str, Any], out: _Out) -> None:
    """Once the gate is open, a second answer that nobody asked for."""
    await out.json(whole())
    await asyncio.to_thread(out.gate.wait, 60)
    await out.json(whole())
    if not await out.reader.read(1):
        raise _CutOff


async def _spoken(asked: dict[str, Any], out: _Out) -> None:
    """In whatever API it is asked."""
    path = out.seen.path
    if asked.get("stream") and path in spoken.STREAMS:
        await out.events(spoken.events(path))
    else:
        await out.json(spoken.whole(path))


async def _hosted(asked: dict[str, Any], out: _Out) -> None:
    if asked.get("stream"):
        await out.events(hosted.events(asked))
    else:
        await out.json(hosted.whole(asked))


async def _spoken_short(asked: dict[str, Any], out: _Out) -> None:
    await out.events(spoken.events(out.seen.path)[:-1])


async def _spoken_error(asked: dict[str, Any], out: _Out) -> None:
    await out.events([spoken.failed(out.seen.path)])


async def _spoken_late(asked: dict[str, Any], out: _Out) -> None:
    await out.events([spoken.events(out.seen.path)[0], spoken.failed(out.seen.path)])


async def _no_such_path(asked: dict[str, Any], out: _Out) -> None:
    await out.json({"detail": "Not Found"}, 404)


def _status(status: int, **headers: str) -> Callable[[dict[str, Any], _Out], Awaitable[None]]:
    async def answer(asked: dict[str, Any], out: _Out) -> None:
        await out.json({"error": {"message": f"status {status} from 10.1.2.3"}}, status, **headers)

    return answer


def _bytes(data: bytes) -> Callable[[dict[str, Any], _Out], Awaitable[None]]:
    async def answer(asked: dict[str, Any], out: _Out) -> None:
        await out.raw(data)
        out.writer.close()

    return answer


_BEHAVIOURS: dict[str, Callable[[dict[str, Any], _Out], Awaitable[None]]] = {
    "ok": _ok,
    "other": _ok,
    "cached": _cached,
    "reset": _reset,
    "short": _short,
    "stall": _stall,
    "stall-midway": _stall_midway,
    "error-event": _error_event,
    "late-error-event": _late_error_event,
    "split": _split,
    "flood": _flood,
    "gated": _gated,
    "gated-stream": _gated_stream,
    "gated-failure": _gated_failure,
    "comments": _comments,
    "unasked": _unasked,
    "hosted": _hosted,
    "spoken": _spoken,
    "spoken-short": _spoken_short,
    "spoken-error": _spoken_error,
    "spoken-late": _spoken_late,
    **assistant.BEHAVIOURS,
    **chatting.BEHAVIOURS,
    **parrot.BEHAVIOURS,
    "no-such-path": _no_such_path,
    "501": _status(501),
    "400": _status(400),
    "401": _status(401),
    "404": _status(404),
    "429": _status(429, retry_after="99999"),
    "500": _status(500),
    "redirect": _status(307, location="http://169.254.169.254/"),
    "garbage": _bytes(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
    "no-json": _bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ht>"),
    "close": _bytes(b""),
    "big-head": _bytes(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\ncontent-length: 2\r\n\r\n{}"),
}


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    request, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = request.split(" ")
    _, behaviour, rest = path.split("/", 2)
    return Seen(behaviour, headers, body, method, f"/{rest}")
