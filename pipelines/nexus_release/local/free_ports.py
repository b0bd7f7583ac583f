"""Ports of 127.0.0.1 for programs that cannot be told to take any and say which."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from itertools import count, islice
from pathlib import Path

from nexus_release.errors import Unreachable

_FIRST, _PORTS = 20_000, 12_000
"""Below those that Linux gives to connections of its own accord (32,768 on), which may be gone a moment later."""
_PORTS_TRIED = 100
_numbers = count(os.getpid())


def free_port(wanted: int | None = None) -> int:
    """`wanted` or the next free one above it, or any: one where nobody listens, and that no other process has been
    given by this before it ends. Raises Unreachable where none is free, or nobody can tell."""
    ports = range(wanted, wanted + _PORTS_TRIED) if wanted else _any()
    for port in ports:
        if _is_ours(port) and _nobody_listens(port):
            return port
    first, last = (wanted, wanted + _PORTS_TRIED - 1) if wanted else (_FIRST, _FIRST + _PORTS - 1)
    raise Unreachable(f"none of the ports {first} to {last} is free: end what listens there")


def _any() -> Iterable[int]:
    """Each once; what was given last comes again last."""
    return (_FIRST + number % _PORTS for number in islice(_numbers, _PORTS))


def _is_ours(port: int) -> bool:
    """A byte of one file stands for each port. Its lock keeps it from others until the program that it is for listens,
    which for MLflow is seven seconds and for a gateway a model's start; the kernel frees it when this process ends."""
    given = _given(os.getpid())
    with suppress(BlockingIOError, PermissionError):  # POSIX allows either for what another has
        fcntl.lockf(given, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        return True
    return False


@cache
def _given(_: int) -> int:
    """A descriptor, open until this process ends: closing it would free all that it has. A forked process opens its
    own."""
    path = Path(tempfile.gettempdir(), f"nexus-ports-{os.getuid()}")
    try:  # no link is followed: whoever else may write into that folder could have laid one
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unreachable(
            f"{path}, by which ports are kept apart, cannot be opened: {error.strerror}: remove it"
        ) from None


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to listen on
        probe.bind(("127.0.0.1", port))
        return True
    return False
