"""An answer that a task makes, for adapters whose library speaks asyncio: its head, then its bytes, a few ahead of who
reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from nexus_gateway.exchange import Waiter
from nexus_gateway.upstreams.protocol import ResponseHead, UpstreamFault, UpstreamSlow

HIGH_WATER = 64 << 10
"""Bytes made and not yet read, above which the task waits."""


class ProducedAnswer:
    """The task begins when the head is asked for, and is cancelled by `abort` and by every deadline that passes."""

    def __init__(self, produce: Callable[[ProducedAnswer], Awaitable[None]]) -> None:
        """`produce` calls `begin` once and awaits `put` for all else, or `tell`. What it raises is an UpstreamFault, or
        is told as one."""
        self._produce = produce
        self._task: asyncio.Task[None] | None = None
        self._head: Waiter[ResponseHead] = Waiter()
        self._waiting: Waiter[bytes] | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self._fault: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- who reads -------------------------------------------------------------------------------------------------

    def head(self, seconds: float) -> Waiter[ResponseHead]:
        self._bound(seconds, "its first byte did not come within the deadline")
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._head

    def chunk(self, seconds: float) -> Waiter[bytes]:
        waiter: Waiter[bytes] = Waiter()
        if self._chunks:
            waiter.give(b"".join(self._chunks))
            self._chunks.clear()
            self._buffered = 0
            self._room.set()
        elif self._fault is not None:
            waiter.fail(self._fault)
        elif self._ended:
            waiter.give(b"")
        else:
            self._waiting = waiter
            self._bound(seconds, "it was silent for too long in the middle of its answer")
        return waiter

    def abort(self, error: BaseException) -> None:
        self._unbind()
        if self._ended:
            return
        self._end(error)
        if self._task is not None:
            self._task.cancel()

    # --- who makes -------------------------------------------------------------------------------------------------

    def begin(self, head: ResponseHead) -> None:
        self._unbind()
        self._head.give(head)

    async def tell(self, status: int, body: str, retry_after: str = "") -> None:
        """The whole of it at once, as JSON."""
        head = ResponseHead(status, [(b"content-type", b"application/json")])
        if retry_after:
            head.headers.append((b"retry-after", retry_after.encode()))
        self.begin(head)
        await self.put(body.encode())

    async def put(self, data: bytes) -> None:
        """Returns when there is room for more."""
        if self._waiting is not None:
            waiter, self._waiting = self._waiting, None
            self._unbind()
            waiter.give(data)
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER:
            self._room.clear()
        await self._room.wait()

    async def _run(self) -> None:
        try:
            await self._produce(self)
        except UpstreamFault as fault:
            self._end(fault)
        except Exception:  # a fault of the library: it must not leave a request waiting
            self._end(UpstreamFault("its adapter failed"))
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """Whoever waits is told last: it may go on at once."""
        if self._ended:
            return
        self._unbind()
        self._ended, self._fault = True, error
        waiting, self._waiting = self._waiting, None
        self._head.fail(error or UpstreamFault("it gave no answer"))
        if waiting is not None:
            waiting.fail(error) if error else waiting.give(b"")

    def _bound(self, seconds: float, reason: str) -> None:
        self._unbind()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self.abort, UpstreamSlow(reason))

    def _unbind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
