"""What a process does to the world, seen through Python's audit events, and what can go wrong at each of them.

`Watched` runs in a child process only: an audit hook cannot be taken away again.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Trouble = Literal["kill", "disk full", "unreachable"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PATHS = {"os.rename": 1, "os.link": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
"""Event -> which argument is the path that it changes."""
_CONNECTS = "connect"
"""Not counted: a server closes what is idle for five seconds, so that a slow run connects more often than a quick one,
and whatever comes later would have another number."""
_ROOM = ("write", "os.rename", "os.link", "os.mkdir")
"""What a full disk refuses; removing works."""


@dataclass(frozen=True)
class Fault:
    trouble: Trouble
    at: int | str
    """The effect, counted from 0, or a pattern: the first whose beginning it matches. `kill`: once, before it. `disk
    full`: from it on, whatever wants room. `unreachable`: from it on, every connection and whatever is sent."""

    def is_at(self, number: int, label: str) -> bool:
        return number >= self.at if isinstance(self.at, int) else bool(re.match(self.at, label))


class Watched:
    """Counts the effects of this process below `world`, appends each to `log`, and makes `fault` happen."""

    def __init__(self, world: Path, log: Path, fault: Fault | None) -> None:
        self._world, self._fault = str(world), fault
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._count, self._struck = 0, False
        self._known: dict[str, Callable[[Any], str | None]] = {
            "open": self._open,
            "subprocess.Popen": _program,
            "http.client.send": _request,
            "socket.connect": lambda _: _CONNECTS,
        }

    def begin(self) -> None:
        sys.addaudithook(self._seen)

    def _seen(self, event: str, arguments: Any) -> None:
        if event in _PATHS:
            label = self._path(event, arguments[_PATHS[event]])
        elif event in self._known:
            label = self._known[event](arguments)
        else:
            return
        if label is not None:
            if label != _CONNECTS:
                number, self._count = self._count, self._count + 1
                os.write(self._log, f"{label}\n".encode())
                self._struck = self._struck or (self._fault is not None and self._fault.is_at(number, label))
            if self._struck and self._fault is not None:
                _happen(self._fault.trouble, label)

    def _open(self, arguments: Any) -> str | None:
        path, _, flags = arguments
        return self._path("write", path) if isinstance(flags, int) and flags & _WRITES else None

    def _path(self, verb: str, path: object) -> str | None:
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not text.startswith(self._world):
            return None
        return f"{verb} {shape(text.removeprefix(self._world).lstrip('/'))}"


def shape(path: str) -> str:
    """A path without what is different each time."""
    path = re.sub(r"[0-9a-f]{64}", "<digest>", path)
    path = re.sub(r"(nexus-[a-z]+-|\.put-|tmp|\.json\.)[a-z0-9_]{8}", r"\1*", path)
    path = re.sub(r"(runs|releases)/[a-z0-9-]+", r"\1/*", path)
    return re.sub(r"((?:after|before|clone|entry)/).+", r"\1...", path)


def _happen(trouble: Trouble, label: str) -> None:
    if trouble == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif trouble == "disk full" and label.startswith(_ROOM):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), label)
    elif trouble == "unreachable" and label.startswith((_CONNECTS, "GET", "POST", "PUT", "PATCH")):
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _program(arguments: Any) -> str:
    words = [os.fsdecode(word) for word in arguments[1]]
    name = Path(words[0]).name
    if name != "git":
        return f"run {name} {next((word for word in words if word in ('render', 'check')), '')}".rstrip()
    verb = next(word for word in words[1:] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-"))
    if verb == "push":
        target = next(word for word in reversed(words) if ":" in word)
        verb += " main" if target.endswith("/main") else " branch away" if target.startswith(":") else " branch"
    return f"git {verb}"


def _request(arguments: Any) -> str | None:
    line = bytes(arguments[1]).split(b"\r\n", 1)[0] if isinstance(arguments[1], bytes) else b""
    found = re.match(rb"(GET|POST|PUT|PATCH|DELETE) ([^ ?]+)", line)
    if found is None:
        return None
    path = re.sub(r"[0-9a-f]{32}", "<run>", found[2].decode())
    return f"{found[1].decode()} {re.sub(r'/[0-9]+/', '/<number>/', path)}"
