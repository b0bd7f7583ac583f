"""Remembers in Redis, for all gateways together, and here besides.

Open where it notes: an answer goes out though Redis has not taken the note, and is then found by this gateway alone.
So what is known here and there is held together: an id that one owner has here and another there is nobody's.
Closed where it finds: while Redis is away, whose a response is that this gateway does not know nobody can say. Who is
told: `changed`, once at each change between up and down.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nexus_gateway.exchange import Waiter
from nexus_gateway.kept_responses.memory import MemoryPlaces
from nexus_gateway.kept_responses.place import NOBODYS, Place, Unknown, name_of
from nexus_gateway.redis_scripts import Changed, RedisScripts

ASK_SECONDS = 1.0
"""For one batch, and so what a slow Redis may add to an answer before its first byte."""


class SharedPlaces:
    """The port `Places`, for one asyncio loop."""

    def __init__(self, url: str, seconds: float, changed: Changed) -> None:
        """`seconds` for which a response is remembered. Raises ValueError for a URL that is none."""
        self._scripts = RedisScripts(url, __package__, ("note.lua", "find.lua"), changed, ASK_SECONDS)
        self._here, self._milliseconds = MemoryPlaces(seconds), int(seconds * 1000)

    async def begin(self) -> None:
        await self._scripts.begin()

    def note(self, response: str, place: Place) -> Waiter[None]:
        self._here.note(response, place)
        told = self._scripts.run(
            "note.lua", _key(response), place.owner, msgspec.msgpack.encode(place), self._milliseconds
        )
        noted: Waiter[None] = Waiter()
        told.then(lambda: noted.give(None))
        return noted

    def find(self, response: str) -> Waiter[Place | None]:
        asked, found = self._scripts.run("find.lua", _key(response)), Waiter[Place | None]()

        def settled() -> None:
            here = self._here.find(response).value
            try:
                there = _read(asked)
                found.give(here if there is None else there.seen_after(here))
            except Exception:  # whatever a broken server says, nobody may wait for ever
                found.fail(Unknown()) if here is None else found.give(here)

        asked.then(settled)
        return found

    async def close(self) -> None:
        await self._scripts.close()


def _read(asked: Waiter[Any]) -> Place | None:
    """Raises where it is nothing that the script says."""
    if asked.error is not None:
        raise asked.error
    if asked.value is None:
        return None
    return msgspec.msgpack.decode(asked.value, type=Place) if asked.value else NOBODYS


def _key(response: str) -> str:
    return f"nexus:response:{{{name_of(response)}}}"
