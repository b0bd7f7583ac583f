"""An engine whose every answer follows a script: the first word of what it is asked says which."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from typing import Any

TEXTS = ("one", " two", " three")
TOKENS = 5  # more than texts, since an engine may send several at once


class ScriptedEngine:
    """`answer` streams TEXTS, `meet` does so once `together` requests are in hand; the rest go wrong by their names."""

    def __init__(self, together: int = 1, tls: ssl.SSLContext | None = None) -> None:
        self.port, self.version, self.models = 0, "", ["scripted"]
        self.in_hand = self.most = 0
        self.written: list[float] = []
        """Of the last answer: when each text was written, by `time.perf_counter`."""
        self.asked: list[dict[str, Any]] = []
        self._together, self._tls = together, tls
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ScriptedEngine:
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._met, self._nothing = asyncio.Event(), asyncio.Event()
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._leave())
        self._loop.close()

    async def _leave(self) -> None:
        """Ends what still waits, and lets its transports close."""
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        while waiting:
            _, waiting = await asyncio.wait(waiting)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, *_ = head.decode().split(" ", 2)
                if method == "GET":
                    writer.write(self._told(path))
                    continue
                lines = head.lower().split(b"\r\n")
                length = next(int(line[15:]) for line in lines if line.startswith(b"content-length"))
                self.asked.append(json.loads(await reader.readexactly(length)))
                script = self.asked[-1]["messages"][0]["content"].split()[0]
                self.in_hand += 1
                self.most = max(self.most, self.in_hand)
                try:
                    await getattr(self, f"_{script}", self._answer)(writer)
                finally:
                    self.in_hand -= 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    def _told(self, path: str) -> bytes:
        if path == "/v1/models":
            return _whole(200, {"data": [{"id": model} for model in self.models]})
        if path == "/version" and self.version:
            return _whole(200, {"version": self.version})
        return _whole(404, {}) if path == "/version" else _PAGE

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        """The role comes long before the first text, as some engines send it."""
        self.written = []
        writer.write(_HEAD + _chunk({"delta": {"role": "assistant", "content": ""}}))
        await writer.drain()
        for text in TEXTS:
            await asyncio.sleep(0.02)  # so that a role that is taken for the first text is too soon
            self.written.append(time.perf_counter())
            writer.write(_chunk({"delta": {"content": text}}))
            await writer.drain()
        writer.write(_chunk({"delta": {}, "finish_reason": "length"}) + _framed(b"data: " + _USAGE) + _END)
        await writer.drain()

    async def _meet(self, writer: asyncio.StreamWriter) -> None:
        if self.in_hand == self._together:
            self._met.set()
        await self._met.wait()
        await self._answer(writer)

    async def _refuse(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_whole(503, {"error": {"message": "busy"}}))

    async def _fail(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            _HEAD + _chunk({"delta": {"content": "one"}}) + _framed(b'data: {"error": {"code": 500}}\n\n') + _END
        )

    async def _break(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + _chunk({"delta": {"content": "one"}}))
        await writer.drain()
        writer.close()

    async def _silent(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + _framed(b"data: " + _USAGE) + _END)

    async def _uncounted(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + _chunk({"delta": {"content": "one"}}) + _END)

    async def _garbage(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + _framed(b"data: {nonsense\n\n"))

    async def _never(self, writer: asyncio.StreamWriter) -> None:
        await self._nothing.wait()


def _whole(status: int, document: Any) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status, len(body), body,
    )  # fmt: skip


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


def _chunk(choice: dict[str, Any]) -> bytes:
    return _framed(b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n")


_HEAD = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PAGE = b"HTTP/1.1 200 X\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"  # as a site has it for any path
_USAGE = json.dumps({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": TOKENS}}).encode() + b"\n\n"
_END = _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
