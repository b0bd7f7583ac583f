"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nexus_release.errors import Unreachable

T = TypeVar("T")

_PAUSE_SECONDS = 0.1


def wait_until(
    predicate: Callable[[], T], timeout: float, what: str = "", pause: Callable[[float], None] = time.sleep
) -> T:
    """What `predicate` gives once it is true. Raises Unreachable after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        if found := predicate():
            return found
        if time.monotonic() >= deadline:
            raise Unreachable(f"{what or 'the condition'}: not after {timeout:g} s")
        pause(_PAUSE_SECONDS)
