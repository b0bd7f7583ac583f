"""One JSON line for each request on standard output, written in batches by a thread, none lost on a clean stop."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TextIO

import msgspec

from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.masking import masked

_LOOKED_UP = {
    "timestamp", "level", "logger", "request_id", "trace_id", "method", "path", "upstream", "client_ip", "route",
    "routes", "release", "revision", "key_id", "code", "fallback_model", "idempotency",
}  # fmt: skip
"""Fields that are compared with something else: they stay as they are. Any other text may hold what a client wrote."""
_MOST_TOGETHER = 64  # lines of a `Texts`, about 40 KB
_NO_TEXT = frozenset({int, float, bool, type(None)})


class Texts:
    """Lines that are text already, one behind the other: thousands of small objects that live until they are written
    cost more memory and time than what is in them."""

    __slots__ = ("count", "text")

    def __init__(self, lines: bytes | bytearray, count: int = 1) -> None:
        self.text, self.count = bytearray(lines), count


Line = dict[str, Any]


class LogWriter(BatchWriter[Line | Texts]):
    """Open: a closed or full output loses lines, never requests."""

    def __init__(self, out: TextIO = sys.stdout, *, masking: bool = True, lock: Path | None = None) -> None:
        """`masking` takes personal data and credentials out of free text; the writer's thread does it. `lock` is a file
        that is held while lines are written, where several processes have one output."""
        super().__init__("nexus-logs")
        self._out, self._masking = out, masking
        self._lock_file = lock.open("ab") if lock else None

    def write(self, line: Line) -> None:
        self.add(line)

    def write_text(self, lines: bytes | bytearray, count: int = 1) -> None:
        """`count` lines of ASCII with their ends, in which nothing has to be masked."""
        with self._lock:
            last = self._waiting[-1] if self._waiting else None
            if type(last) is Texts and last.count < _MOST_TOGETHER:
                if self._has_room():
                    last.text += lines
                    last.count += count
                    self.count(count)
                else:
                    self.dropped += count
                return
        self.add(Texts(lines, count))

    def weight(self, item: Line | Texts) -> int:
        return item.count if isinstance(item, Texts) else 1

    def put(self, batch: list[Line | Texts]) -> None:
        text = "".join(map(self._written, batch))
        with _held(self._lock_file):
            self._out.write(text)
            self._out.flush()

    def _written(self, item: Line | Texts) -> str:
        if isinstance(item, Texts):
            return item.text.decode("ascii")
        return text_of(masked_line(item) if self._masking else item) + "\n"


@contextmanager
def _held(lock: IO[bytes] | None) -> Iterator[None]:
    """The system lets go of it when its holder dies."""
    if lock is None:
        yield
        return
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def masked_line(line: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if type(value) in _NO_TEXT or name in _LOOKED_UP else _masked_value(value)
        for name, value in line.items()
    }


def text_of(line: dict[str, Any]) -> str:
    """ASCII: no line breaks within. msgspec takes a tenth of the time, and has no escapes for what is not ASCII."""
    try:
        return msgspec.json.encode(line).decode("ascii")
    except UnicodeError:
        return json.dumps(line, separators=(",", ":"))


def _masked_value(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list | tuple):
        return [_masked_value(part) for part in value]
    return masked_line(value) if isinstance(value, dict) else value


def event_line(message: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    return {**head_of(message, level), **fields}


@lru_cache(4096)  # clients come again, and `ipaddress` takes as long as deciding who is asked
def mask(address: str) -> str | None:
    """The network of an address: 24 bits of IPv4, 48 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False).network_address)


def timestamp(now: float) -> str:
    """UTC, to the millisecond."""
    second = int(now)
    return f"{_second(second)}.{int((now - second) * 1000):03d}Z"


@lru_cache(8)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def head_of(message: str, level: str) -> dict[str, Any]:
    return {"timestamp": timestamp(time.time()), "level": level, "logger": "nexus.gateway", "message": message}
