"""GPU-hours that releases have spent, by the journal of their steps."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from nexus_release.graph import NODES
from nexus_release.journal import StepResult


def gpu_hours(work: Path, since: datetime, until: datetime, gpus: int) -> float:
    """Of all steps that may use a GPU and began in that time, with `gpus` each. What failed left no entry, and is not
    counted."""
    on_gpu = [name for name, node in NODES.items() if node.step.resources.gpu]
    found = [StepResult.model_validate_json(path.read_bytes()) for name in on_gpu for path in _entries(work, name)]
    seconds = sum(one.seconds for one in found if since <= datetime.fromisoformat(one.started) < until)
    return seconds * gpus / 3600


def _entries(work: Path, step: str) -> list[Path]:
    return sorted((work / "steps" / step).glob("[!.]*.json"))
