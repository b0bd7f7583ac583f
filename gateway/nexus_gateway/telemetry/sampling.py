"""Which requests have a log line. Values in, a value out.

By the request id alone, so that every process on a request's way that goes by the same rule logs it or does not: the
first 8 bytes of the SHA-256 of the id, as a number from 0 to 2**64, are below the rate's share of it. Whoever has
chosen its own id can therefore choose not to be logged; metrics and the audit log have every request.
"""

from __future__ import annotations

import hashlib

from nexus_gateway.telemetry.record import RequestRecord


def sample_rate(record: RequestRecord) -> float | None:
    """The share of requests like this one that is logged, which its line says: what is always logged counts for itself
    alone, any other line for 1 / rate requests. None where this one is not logged."""
    telemetry = record.telemetry
    if telemetry is None or telemetry.sample == 1.0:
        return 1.0
    slow = record.ended - record.started >= telemetry.slow_seconds
    if slow or record.status >= 400 or record.code or record.fallback_model:
        return 1.0
    return telemetry.sample if place(record.request_id) < telemetry.sample else None


def place(request_id: str) -> float:
    """From 0 to 1."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8], "big") / (1 << 64)
