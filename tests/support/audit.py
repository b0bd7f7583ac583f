"""Audit logs that were written, and what `nexus-gateway audit verify` says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from nexus_gateway.cli import gateway
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.record import RequestRecord

from .gateway import until
from .repository import ROOT

SALT = b"salt of the tests"
ONE_BATCH = 1
"""Bytes of a file that is full after one batch."""
SCHEMA = Draft202012Validator(json.loads((ROOT / "gateway" / "audit.schema.json").read_text()))


def record(number: int = 0, **more: Any) -> RequestRecord:
    given = {"status": 200, "key_id": "team-a", "route": "chat", "upstream": "chat-1", "release": "a" * 64}
    ids = {"request_id": f"r-{number}", "trace_id": f"{number:032x}", "revision": "b" * 12}
    return RequestRecord("POST", "/v1/chat/completions", "203.0.113.7", 1.0, **{**ids, **given, **more})


REFUSED: dict[str, Any] = {"status": 404, "code": "model_not_found", "route": "", "upstream": "", "release": ""}


def written(folder: Path, count: int = 6, largest: int = 1 << 20) -> list[Path]:
    """The files of a log that was stopped cleanly; every third decision is a refusal."""
    log = AuditLog(folder, SALT, "gateway-0", largest=largest)
    log.start()
    for number in range(count):
        log.write(record(number, **(REFUSED if number % 3 == 2 else {})), "chat")
        if largest == ONE_BATCH:
            until_written(folder, number)
    log.stop()
    assert log.dropped == 0
    return sorted(folder.iterdir())


def until_written(folder: Path, number: int) -> None:
    """In the newest file or in one before: what waits is written by batches, and a file may end between two."""
    named = f'"r-{number}"'
    until(
        lambda: any(named in file.read_text() for file in sorted(folder.iterdir(), reverse=True)),
        f"decision {number} is written",
    )


def newest(folder: Path) -> Path:
    return max(folder.iterdir())


def lines(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def verify(*paths: Path) -> Result:
    return CliRunner().invoke(gateway, ["audit", "verify", *map(str, paths)])


def verdict(*paths: Path) -> dict[str, Any]:
    done = CliRunner().invoke(gateway, ["audit", "verify", "--json", *map(str, paths)])
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if found["sound"] else 1)
    return found


def notes_of_a_kill(folder: Path) -> list[str]:
    """Of a chain whose process was killed, but for a file that it had begun and had told no decision in: to begin one
    takes several writes, and a kill between two of them leaves a note of either file."""
    *before, last = sorted(folder.iterdir())
    decided = b'"kind":"decision"' in last.read_bytes().rpartition(b"\n")[0]
    return [note["what"] for note in verdict(*before, *([last] if decided else []))["notes"]]


def faults(*paths: Path) -> list[tuple[str, int, str]]:
    return [(Path(found["file"]).name, found["line"], found["what"]) for found in verdict(*paths)["faults"]]


def rewritten(file: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
