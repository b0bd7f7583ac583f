"""An engine that streams at a pace of its own, fails as often as it is told to, and can be changed while it runs."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
from typing import Any

MEDIAN_SECONDS = 0.2


class PacedEngine:
    """Times to the first event are lognormal with a sigma of 0.5, as engines' about are."""

    def __init__(self, seed: int) -> None:
        self.slower, self.errors, self.port = 1.0, 0.0, 0
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> PacedEngine:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
                await asyncio.sleep(MEDIAN_SECONDS * self.slower * math.exp(self._random.gauss(0, 0.5)))
                writer.write(_FAILURE if self._random.random() < self.errors else _ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _event(choices: list[Any], **more: Any) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"


def _choice(delta: dict[str, str], reason: str | None) -> list[Any]:
    return [{"index": 0, "delta": delta, "finish_reason": reason}]


_BODY = b"".join((
    _event(_choice({"content": "hello"}, None)),
    _event(_choice({"content": " there"}, None)),
    _event(_choice({}, "stop")),
    _event([], usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}),
    b"data: [DONE]\n\n",
))  # fmt: skip
_ANSWER = (
    b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)
)
_FAILURE = b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
