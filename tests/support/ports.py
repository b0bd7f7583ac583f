"""Ports for programs that cannot be told to take any."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from itertools import count

_FIRST, _PORTS = 20_000, 12_000
"""Below those that Linux gives to connections of its own accord (32,768 on): one of these may be gone a moment later,
to a connection that another test makes."""
_numbers = count(os.getpid() * 4_001)  # tests side by side begin a third apart


def free_port() -> int:
    """One that nobody has now, and that this process was given long ago if ever."""
    for _ in range(_PORTS):
        port = _FIRST + next(_numbers) % _PORTS
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise OSError(f"none of the ports {_FIRST} to {_FIRST + _PORTS - 1} is free: end what listens there")
