"""Streams that are relayed in C (gateway/native/): on real sockets, with an engine whose every byte is the test's, and
beside what Python does with the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import pytest
import uvloop

from nexus_gateway import streamed

from ..support.hand_fed import Client, Engine, hand_fed

nexus_native = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

P = ParamSpec("P")
DONE = b"data: [DONE]\n\n"


def on_sockets(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """In a loop of its own. What never comes fails it."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return run


class Passed:
    """What has passed by Python."""

    def __init__(self) -> None:
        self.lines = self.events = 0


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Passed:
    found = Passed()

    class Watched(nexus_native.StreamLine):  # type: ignore[misc, name-defined]  # it may not be there
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


async def closed(client: Client, engine: Engine, *said: bytes) -> bytes:
    """The answer's body, where the engine closes together with its last bytes."""
    await engine.pour(b"".join(said))
    engine.close()
    return (await client.answer()).body


# --- its end ----------------------------------------------------------------------------------------------------------


@on_sockets
async def test_an_engine_that_dies_with_its_last_bytes_is_noticed_at_once(tmp_path: Path, passed: Passed) -> None:
    async with hand_fed(tmp_path, "native") as world:
        client, engine = await world.streaming(FIRST)
        body = await closed(client, engine, NEXT)
        assert b"it closed the connection before its answer was whole" in body
        assert (event("next") in body, passed.events) == (True, 1)


@on_sockets
async def test_an_engine_that_closes_with_its_end_mark_ends_the_answer_at_once(
    tmp_path: Path, passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "_AFTER_DONE_SECONDS", 1000.0)
    async with hand_fed(tmp_path, "native") as world:
        client, engine = await world.streaming(FIRST)
        assert (await closed(client, engine, NEXT, frame(DONE))).endswith(event("next") + DONE)
        assert passed.events == 1
