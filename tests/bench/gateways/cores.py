"""Which cores are used: one for both ends, another for the gateway."""

from __future__ import annotations

import os


def cores() -> tuple[int, int]:
    """(both ends', the gateway's): the same one where this process may use no other."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]
