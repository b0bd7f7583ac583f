"""Decision logs as a gateway writes them, of traffic that we make up by seeds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from .decision_log import SCHEMA

MODEL = "chat"
START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day: float) -> str:
    return (START + DAY * day).strftime("%Y-%m-%dT%H:%M:%SZ")


def line(time: datetime, release: str, number: int, figures: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """One answer of the release."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"
    asked = {"route": MODEL, "endpoint": "chat-1", "outcome": "answered", "went_on": False}
    return {
        "kind": "decision",
        "version": 2,
        "time": stamp,
        "trace_id": f"{number:032x}",
        "revision": "e" * 64,
        "path": "/v1/chat/completions",
        "model": MODEL,
        "known": True,
        "allowed": True,
        "route": MODEL,
        "tries": 1,
        "splits": [],
        "rules": [],
        "left_out": [],
        "choices": [{"upstream": "chat-1", "endpoints": [], "asked": asked}],
        "status": 200,
        "code": None,
        "release": release,
        "figures": {
            "stream": False, "request_bytes": 400, "answer_bytes": 900, "prompt_tokens": 100,
            "completion_tokens": 200, "ending": "stop", **figures,
        },
        **changes,
    }  # fmt: skip


def day(
    number: int, release: str, *, records: int = 300, longer: float = 1.0, seed: int = 0, model: str = MODEL
) -> list[dict[str, Any]]:
    """A day of answers, counted from START; `longer`: factor of what is asked."""
    drawn = random.Random(f"{seed} {number}")
    begin = START + DAY * number
    lines = [
        line(
            begin + DAY * (order / records),
            release,
            (number + 1000) * 1_000_000 + order,
            {
                "prompt_tokens": (tokens := max(1, round(drawn.lognormvariate(4.5, 0.6) * longer))),
                "request_bytes": 120 + 4 * tokens,
                "completion_tokens": max(1, round(drawn.lognormvariate(5, 0.5))),
                "stream": drawn.random() < 0.6,
                "ending": "length" if drawn.random() < 0.05 else "stop",
            },
            model=model,
            route=model,
        )
        for order in range(records)
    ]
    SCHEMA.validate(lines[0])
    return lines


def write_log(folder: Path, lines: Iterable[Mapping[str, Any]], name: str = "decisions-1-1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.jsonl").open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in lines)
    return folder
