"""Ports for programs that cannot be told to take any."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import BinaryIO

_FIRST, _PORTS = 20_000, 12_000
"""Below those that Linux gives to connections of its own accord (32,768 on): one of these may be gone a moment later,
to a connection that another test makes."""
_numbers = count(os.getpid())


def free_port() -> int:
    """One that nobody has now, and that no other process of tests is given before this one ends."""
    for _ in range(_PORTS):
        port = _FIRST + next(_numbers) % _PORTS
        if _is_ours(port) and _nobody_listens(port):
            return port
    raise OSError(f"none of the ports {_FIRST} to {_FIRST + _PORTS - 1} is free: end what listens there")


def _is_ours(port: int) -> bool:
    """A byte of one file stands for each port. Its lock keeps it from tests side by side, which would otherwise be
    given it in the moments until the program that it is for listens; the kernel frees it when this process ends."""
    with suppress(BlockingIOError):
        fcntl.lockf(_given(os.getpid()), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        return True
    return False


@cache
def _given(_: int) -> BinaryIO:
    """Open until this process ends: closing it would free all that it has. A forked process opens its own."""
    return Path(tempfile.gettempdir(), f"nexus-tests-ports-{os.getuid()}").open("ab")


def _nobody_listens(port: int) -> bool:
    with socket.socket() as tried, suppress(OSError):
        tried.bind(("127.0.0.1", port))
        return True
    return False
