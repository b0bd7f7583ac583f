"""The port `Tokens` where no Prometheus is: the gateway's audit log, whose tenants are principals.

The form of a line is the gateway's (gateway/audit.schema.json); here are the fields of it that a cost needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nexus_release.costs.usage import Made, Slots
from nexus_release.errors import Missing


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Decision(_Line):
    kind: Literal["decision"]
    time: datetime
    principal: str | None
    release: str | None
    prompt_tokens: int
    completion_tokens: int


class _Other(_Line):
    kind: Literal["header", "gap", "closed"]


_read: TypeAdapter[_Decision | _Other] = TypeAdapter(Annotated[_Decision | _Other, Field(discriminator="kind")])


class AuditedTokens:
    """A principal is a key, not a tenant, and by its pseudonym; what engines had kept of a prompt is not told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def made(self, slots: Slots) -> tuple[Sequence[Made], str]:
        """Raises Missing where no file is there."""
        found: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])
        unreadable = 0
        for line in self._lines():
            if line is None:
                unreadable += 1
                continue
            if isinstance(line, _Other) or not line.release or not line.principal:
                continue
            if (slot := slots.of(line.time.timestamp())) is not None:
                tokens = found[slot, line.release, line.principal]
                tokens[0] += line.prompt_tokens
                tokens[1] += line.completion_tokens
        told = f"tokens: the audit log, {unreadable} lines could not be read; cached tokens are not told there"
        return [
            Made(slot, release, principal, prompt, 0, completion)
            for (slot, release, principal), (prompt, completion) in sorted(found.items())
        ], told

    def _lines(self) -> Iterator[_Decision | _Other | None]:
        """None for what is no line of an audit log."""
        files = sorted(self._folder.glob("*.jsonl"))
        if not files:
            raise Missing(f"{self._folder}: no audit log there; `nexus-gateway serve --audit` writes one")
        for file in files:
            for data in file.read_bytes().splitlines():
                try:
                    yield _read.validate_json(data)
                except ValidationError:
                    yield None
