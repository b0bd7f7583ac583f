"""What a run of real gateways has found, and the file that keeps it until the next."""

from __future__ import annotations

from pathlib import Path

import msgspec

KEPT = Path(__file__).parent / "measured.json"


class Row(msgspec.Struct, frozen=True):
    """Of one kind of gateway on one workload. Times in seconds, memory in MiB of one gateway, on average."""

    workload: str
    gateway: str
    gateways: int
    hits: float
    p50: float
    p99: float
    failed: float
    """Share that had no first token when it was given up, or no whole answer for another reason."""
    simulated_hits: float
    simulated_p50: float
    simulated_p99: float
    memory_before: float
    memory_after: float
    late: float
    """99th percentile of what a question was sent later than it was due."""


class Growth(msgspec.Struct, frozen=True):
    """MiB of one gateway."""

    gateway: str
    before: float
    warm: float
    """After `Measured.warming` requests."""
    after: float
    """After `Measured.rush` requests more."""
    failed: int


class Measured(msgspec.Struct, frozen=True):
    date: str
    machine: str
    versions: dict[str, str]
    load: str
    questions: int
    """That were measured, about."""
    rows: list[Row]
    warming: int
    rush: int
    growth: list[Growth]


def read(kept: Path = KEPT) -> Measured:
    return msgspec.json.decode(kept.read_bytes(), type=Measured)


def write(found: Measured, kept: Path = KEPT) -> None:
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
