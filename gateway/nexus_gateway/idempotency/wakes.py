"""Wakes those who wait for another gateway's answer: by a message in this gateway's own channel, else by the clock.

A waiting gateway is noted in the claim itself, by the script that tells it to wait. The message may overtake what that
script says, since they come over two connections: so it is listened for before the script is asked. Lost messages cost
time only: who waits asks again when the lease is over, and when the channel is there again.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress

from nexus_gateway.exchange import Waiter
from nexus_gateway.redis_address import redis_at
from nexus_gateway.redis_scripts import REST_SECONDS


class Wakes:
    """For one asyncio loop."""

    def __init__(self, url: str, deadline: float) -> None:
        self.channel = f"nexus:idempotency:wake:{secrets.token_hex(8)}"
        self._redis = redis_at(url, socket_connect_timeout=deadline, retry=None)
        self._waiting: dict[str, list[Waiter[None]]] = {}
        self._listening: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()

    def listen(self, key: str) -> Waiter[None]:
        """Settled when there is something to ask for. Goes through `stop` once."""
        waiter: Waiter[None] = Waiter()
        self._waiting.setdefault(key, []).append(waiter)
        return waiter

    def stop(self, key: str, waiter: Waiter[None], seconds: float = 0.0) -> None:
        """Settles it, at once or in so many seconds."""
        if seconds and not waiter.settled:
            asyncio.get_running_loop().call_later(seconds, self.stop, key, waiter)
            return
        waiting = self._waiting.get(key, [])
        if waiter in waiting:
            waiting.remove(waiter)
            if not waiting:
                del self._waiting[key]
        waiter.give(None)

    def _wake(self, key: str) -> None:
        for waiter in self._waiting.pop(key, []):
            waiter.give(None)

    async def _listen(self) -> None:
        while True:
            with suppress(Exception):  # of any kind: then the clock wakes, and the channel is tried again
                await self._hear()
            await asyncio.sleep(REST_SECONDS)

    async def _hear(self) -> None:
        async with self._redis, self._redis.pubsub() as heard:
            await heard.subscribe(self.channel)
            async for message in heard.listen():
                if message["type"] == "message":
                    self._wake(message["data"].decode())
                else:  # subscribed: what was said before has not been heard
                    for key in list(self._waiting):
                        self._wake(key)
