"""A TCP relay before a server that treats its bytes badly: what a network does, where the kernel cannot be asked to."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from typing import Literal

Trouble = Literal["", "slow", "hold", "reset"]


class Relay:
    """From a free port of loopback to `port`, in a thread of its own."""

    def __init__(self, port: int, delay_seconds: float = 0.2) -> None:
        self.trouble: Trouble = ""
        """slow: each piece takes `delay_seconds` longer. hold: none passes. reset: connections are, at once."""
        self.port = 0
        self._to, self._delay = port, delay_seconds
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._writers = set[asyncio.StreamWriter]()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Relay:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def turn(self, trouble: Trouble) -> None:
        """Resets what is connected where that is the trouble, and what was held where it ends."""
        held = self.trouble == "hold"
        self.trouble = trouble
        if held or trouble == "reset":
            self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, OSError):
                self._loop.run_until_complete(task)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble == "reset":
            _reset(writer)
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, there}
        try:
            await asyncio.gather(self._pass(reader, there), self._pass(there_reader, writer))
        finally:
            self._writers -= {writer, there}
            writer.close()
            there.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one side ends; then the other one is told."""
        try:
            while data := await reader.read(1 << 16):
                if self.trouble == "slow":
                    await asyncio.sleep(self._delay)
                if self.trouble == "hold":
                    continue
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        else:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """By RST, which a close that lingers for no time sends."""
    held = writer.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
