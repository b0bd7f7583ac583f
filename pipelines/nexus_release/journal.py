"""What each step has done, on disk, so that a run that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from nexus_release.frozen import Frozen
from nexus_release.step import Step


class StepResult(Frozen):
    """One finished run of one step."""

    step: str
    key: str
    given: dict[str, Any]
    out: dict[str, Any]
    notes: dict[str, str]
    """What happened once and feeds nothing: commits, run ids."""
    started: str
    """UTC, RFC 3339."""
    seconds: float


def step_key(step: Step, code: str, given: Frozen) -> str:
    """SHA-256 in hex over the step's name, the digest of the steps' code, and the input."""
    hasher = hashlib.sha256()
    for part in (step.name, code, given.model_dump_json()):
        hasher.update(part.encode() + b"\0")
    return hasher.hexdigest()


def find_result(work: Path, step: Step, key: str) -> StepResult | None:
    """The stored result, or None; a file that was cut short by a crash counts as none."""
    try:
        return StepResult.model_validate_json(_path(work, step.name, key).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def keep_result(work: Path, result: StepResult) -> None:
    write_whole(_path(work, result.step, result.key), result.model_dump_json(indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all, and to the disk before it is seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _path(work: Path, step: str, key: str) -> Path:
    return work / "steps" / step / f"{key}.json"
