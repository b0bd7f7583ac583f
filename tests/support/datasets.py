"""Chat rows, and the step that validates them."""

from __future__ import annotations

import json
from typing import Any

from nexus_release.steps.validate import DataGate, ValidateIn, ValidateOut, validate
from nexus_release.wiring import Tools


def chat(number: int, *said: str, **changes: Any) -> bytes:
    contents = said or (f"What is {number}?", f"The number {number}.")
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)]
    row = {"id": str(number), "source": "test", "language": "en", "messages": messages, **changes}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def rows(count: int) -> bytes:
    return b"".join(chat(number) for number in range(count))


def run(tools: Tools, data: bytes, **gate: Any) -> tuple[ValidateOut, dict[str, Any]]:
    path = tools.work / "data.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    bounds = {"min_rows": 1, "holdout_share": 0.2, **gate}
    out = validate(
        ValidateIn(model="m", environment="local", declaration=None, dataset=str(path), gate=DataGate(**bounds)), tools
    )
    return out, json.loads((tools.store.get(out.dataset) / "report.json").read_text())
