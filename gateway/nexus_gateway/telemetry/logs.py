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
from nexus_gateway.telemetry.record import RequestRecord

_LOOKED_UP = {
    "timestamp", "level", "logger", "request_id", "trace_id", "method", "path", "upstream", "client_ip", "route",
    "routes", "release", "revision", "key_id", "code", "fallback_model", "idempotency",
}  # fmt: skip
"""Fields that are compared with something else: they stay as they are. Any other text may hold what a client wrote."""
_NO_TEXT = frozenset({int, float, bool, type(None)})


class LogWriter(BatchWriter[dict[str, Any]]):
    """Open: a closed or full output loses lines, never requests."""

    def __init__(self, out: TextIO = sys.stdout, *, masking: bool = True, lock: Path | None = None) -> None:
        """`masking` takes personal data and credentials out of free text; the writer's thread does it. `lock` is a file
        that is held while lines are written, where several processes have one output."""
        super().__init__("nexus-logs")
        self._out, self._masking = out, masking
        self._lock_file = lock.open("ab") if lock else None

    def write(self, line: dict[str, Any]) -> None:
        self.add(line)

    def put(self, batch: list[dict[str, Any]]) -> None:
        lines = map(masked_line, batch) if self._masking else batch
        text = "".join(map(_text, lines))
        with _held(self._lock_file):
            self._out.write(text)
            self._out.flush()


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


def _text(line: dict[str, Any]) -> str:
    """ASCII: no line breaks within. msgspec takes a tenth of the time, and has no escapes for what is not ASCII."""
    try:
        return msgspec.json.encode(line).decode("ascii") + "\n"
    except UnicodeError:
        return json.dumps(line, separators=(",", ":")) + "\n"


def _masked_value(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list | tuple):
        return [_masked_value(part) for part in value]
    return masked_line(value) if isinstance(value, dict) else value


def request_line(record: RequestRecord, rate: float) -> dict[str, Any]:
    """`rate`: the share of such lines that is written."""
    status = record.status
    line = {
        **_head("request", "error" if status >= 500 else "warning" if status >= 400 else "info"),
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "method": record.method,
        "path": record.path,
        "status": status,
        "duration_ms": round((record.ended - record.started) * 1000, 3),
        "upstream": record.upstream or None,
        "fallback_model": record.fallback_model or None,
        "client_ip": mask(record.client),
        "route": record.route or None,
        "release": record.release or None,
        "revision": record.revision or None,
        "key_id": record.key_id or None,
        "stream": record.stream,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "sample_rate": rate,
    }
    if record.first_byte:
        line["first_byte_ms"] = round((record.first_byte - record.started) * 1000, 3)
    if record.gaps is not None:
        line["longest_gap_ms"] = round(record.gaps.longest * 1000, 3)
    if record.idempotency:
        line["idempotency"] = record.idempotency
    if record.masked:
        line["masked_values"] = sum(sum(kinds.values()) for kinds in record.masked.values())
    if record.code:
        line |= {"code": record.code, "reason": record.reason}
    return line


def event_line(message: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    return {**_head(message, level), **fields}


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
    return f"{_second(int(now // 1))}.{int(now % 1 * 1000):03d}Z"


@lru_cache(8)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def _head(message: str, level: str) -> dict[str, Any]:
    return {"timestamp": timestamp(time.time()), "level": level, "logger": "nexus.gateway", "message": message}
