"""Python's collector of cycles, kept from walking over a large configuration while every request waits.

A full collection of what 10,000 routes are made of takes 100 ms and more, and is not interrupted. None of it is ever
part of a cycle: reference counts alone free it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LARGE = 1000
"""Files. For less a collection is short, and to set everything aside would keep whatever else is garbage just then."""


_OFTEN = (20_000, 20, 50)
"""Objects, and collections of a generation, after which one is due. Python's own 700 are reached by a few requests at
once, whose objects all live still: a sixth of a busy gateway's time went into finding that out."""


def settle() -> None:
    """Once a process has all its parts: none of them is walked over again, and what requests leave more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_OFTEN)


@contextmanager
def set_aside(files: int) -> Iterator[None]:
    """No collection within, and none of what was made within afterwards."""
    if files < LARGE:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def let_go(parts: list[object]) -> None:
    """Frees them one after the other: all at once nobody else could run until the last is gone."""
    while parts:
        parts.pop()
