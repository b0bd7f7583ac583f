"""What a gateway is started with."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused

BACKLOG = 2048
"""Connections that wait to be accepted."""


@dataclass(frozen=True)
class Start:
    environ: Mapping[str, str] = field(repr=False)
    routes: Path | None
    keys: Path | None
    resolve: Path | None
    state: Path | None
    audit: Path | None
    decisions: Path | None
    host: str
    port: int
    admin_port: int | None
    workers: int


@dataclass(frozen=True)
class Worker:
    """One of several processes of a gateway."""

    number: int
    folder: Path
    """Of this gateway alone: where its processes find each other."""

    @property
    def log_lock(self) -> Path:
        return log_lock(self.folder)


def log_lock(folder: Path) -> Path:
    """Held while lines are written, since all processes have one standard output."""
    return folder / "log.lock"


def listen(start: Start) -> list[socket.socket]:
    """The public socket, and the one for operators if they have one. Raises ConfigRefused."""
    if start.admin_port == start.port:
        raise ConfigRefused(f"--admin-port {start.port}: is the public port too; give another, or leave it out")
    ports = {"--port": start.port, **({"--admin-port": start.admin_port} if start.admin_port else {})}
    return [_listening(option, start.host, port) for option, port in ports.items()]


def _listening(option: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigRefused(f"--host {host} {option} {port}: {reason}") from None
    listening.setblocking(False)
    return listening
