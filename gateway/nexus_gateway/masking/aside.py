"""Long texts are masked in a thread, so that a request with one keeps no other waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from nexus_gateway.exchange import Waiter

LONG = 32 << 10
"""Bytes that take some 15 ms."""

T = TypeVar("T")


def aside(size: int, work: Callable[[], T]) -> Waiter[T]:
    """What `work` gives; `size` of the text that it is about, in bytes. Fails with what it raises."""
    told: Waiter[T] = Waiter()
    if size < LONG:
        try:
            told.give(work())
        except Exception as error:
            told.fail(error)
        return told

    def settle(done: asyncio.Future[T]) -> None:
        if (error := done.exception()) is not None:
            told.fail(error)
        else:
            told.give(done.result())

    asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(settle)
    return told
