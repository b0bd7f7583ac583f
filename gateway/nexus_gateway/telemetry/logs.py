"""One JSON line for each request on standard output, written in batches by a thread, none lost on a clean stop."""

from __future__ import annotations

import ipaddress
import json
import sys
import threading
import time
from typing import Any, TextIO

from nexus_gateway.telemetry.record import RequestRecord

_FLUSH_SECONDS = 0.1
_MOST_WAITING = 100_000  # lines; when nobody reads standard output the newest are dropped and counted


class LogWriter:
    """`write` costs an append. Open: a closed or full output loses lines, never requests; `dropped` counts them."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out, self._lines = out, list[dict[str, Any]]()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="nexus-logs", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._flush()

    def write(self, line: dict[str, Any]) -> None:
        with self._lock:
            if len(self._lines) < _MOST_WAITING:
                self._lines.append(line)
            else:
                self.dropped += 1

    def _run(self) -> None:
        while not self._stop.wait(_FLUSH_SECONDS):
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if lines:
            try:
                self._out.write("".join(json.dumps(line) + "\n" for line in lines))  # ASCII: no line breaks within
                self._out.flush()
            except (OSError, ValueError):
                self.dropped += len(lines)


def request_line(record: RequestRecord) -> dict[str, Any]:
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
    }
    if record.first_byte:
        line["first_byte_ms"] = round((record.first_byte - record.started) * 1000, 3)
    if record.code:
        line |= {"code": record.code, "reason": record.reason}
    return line


def event_line(message: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    return {**_head(message, level), **fields}


def mask(address: str) -> str | None:
    """The network of an address: 24 bits of IPv4, 48 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False).network_address)


def _head(message: str, level: str) -> dict[str, Any]:
    now = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return {
        "timestamp": f"{moment}.{int(now % 1 * 1000):03d}Z",
        "level": level,
        "logger": "nexus.gateway",
        "message": message,
    }
