"""Streams in a gateway's own loop, and how much of them has passed by Python."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

import pytest
import uvloop

from nexus_gateway.settings import Edge

from .hand_fed import END, Client, Engine

P = ParamSpec("P")
OURS: tuple[Edge, ...] = ("native", "wire")
DONE = b"data: [DONE]\n\n"


def on_sockets(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """In a loop of its own. What never comes fails it."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), 120))

    return run


class Passed:
    """What has passed by Python."""

    def __init__(self) -> None:
        self.lines = self.events = 0


def watching(monkeypatch: pytest.MonkeyPatch) -> Passed:
    """Counts from here on. Skips where nothing is built that could be counted."""
    nexus_native: Any = pytest.importorskip("nexus_native", reason="nexus-native is not built here")
    found = Passed()

    class Watched(nexus_native.StreamLine):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.lines += 1

        def taken(self, asked: float) -> Any:
            taken = super().taken(asked)
            found.events += taken[1]
            return taken

    monkeypatch.setattr(nexus_native, "StreamLine", Watched)
    return found


def event(text: str) -> bytes:
    return b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n' % text.encode()


def frame(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


FIRST, NEXT = frame(event("first")), frame(event("next"))
LAST = frame(DONE) + END
LARGE = frame(event("x" * 20_000))


async def filled(client: Client, engine: Engine) -> int:
    """Until the gateway leaves the engine alone, for want of room at the client's: events that it took."""
    events = 0
    while not engine.there._held:
        engine.put(LARGE)
        await engine.is_read()
        events += 1
    return events
