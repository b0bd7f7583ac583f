"""A story of ours awaited in asyncio: what a page asks of the parts that know no event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from nexus_gateway.exchange import drive

T = TypeVar("T")


async def driven(story: Coroutine[Any, Any, T]) -> T:
    """Awaits in asyncio what itself awaits waiters only. Raises what it raises."""
    found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def whole() -> None:
        found.set_result(await story)

    drive(whole(), lambda error: None if error is None else found.set_exception(error))
    return await found
