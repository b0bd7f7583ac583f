"""What the console shows of a checkout. Loaded when somebody asks for it: what its files hold is a MiB of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from nexus_gateway.console.checkout import Checkout, Unreadable
from nexus_gateway.console.git_told import canaries_told, prices_told, release_told, releases_told
from nexus_gateway.console.settings import ConsoleSettings
from nexus_gateway.errors import CHECKOUT_UNREADABLE, Refusal

T = TypeVar("T")


async def releases(settings: ConsoleSettings) -> dict[str, Any]:
    return await _read(releases_told, settings)


async def release(settings: ConsoleSettings, name: str) -> dict[str, Any] | None:
    """None where no record has that id."""
    return await _read(lambda checkout: release_told(checkout, name), settings)


async def canaries(settings: ConsoleSettings) -> dict[str, Any]:
    return await _read(canaries_told, settings)


async def prices(settings: ConsoleSettings) -> dict[str, Any]:
    return await _read(prices_told, settings)


async def _read(tell: Callable[[Checkout], T], settings: ConsoleSettings) -> T:
    """In a thread, since a disk may be slow. Raises Refusal for what cannot be read: it is told, and stops nothing."""
    try:
        return await asyncio.to_thread(tell, Checkout(settings))
    except Unreadable as error:
        raise Refusal(CHECKOUT_UNREADABLE, str(error)) from None
