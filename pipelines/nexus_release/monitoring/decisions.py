"""Reads the gateway's decision log: the answers of one model in a window, or a sample of them.

The form of a line is the gateway's (gateway/decision.schema.json); here are the fields of it that drift needs.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nexus_release.digests import Digest, digest_bytes
from nexus_release.errors import Missing
from nexus_release.frozen import Frozen
from nexus_release.monitoring.windows import Window


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Figures(_Line):
    stream: bool
    request_bytes: int
    prompt_tokens: int
    completion_tokens: int
    ending: str | None


class Decision(_Line):
    kind: Literal["decision"]
    version: Literal[2]
    time: str
    path: str
    route: str | None
    tries: int | None
    status: int
    release: str | None
    figures: Figures


class Gap(_Line):
    kind: Literal["gap"]
    time: str
    lost: int


_read: TypeAdapter[Decision | Gap] = TypeAdapter(Annotated[Decision | Gap, Field(discriminator="kind")])


class SampleTold(Frozen):
    """What was looked at, as a report tells it."""

    records: int
    """Answers in the window."""
    sampled: int
    lost: int
    """Decisions of any model that the gateway could not write then."""
    digest: Digest
    """Of the sorted SHA-256 of the sampled lines."""


@dataclass(frozen=True)
class Sample:
    decisions: Sequence[Decision]
    told: SampleTold


@dataclass
class Log:
    """Files of one folder. A line that stands in two of them counts once, in whatever order they are read."""

    folder: Path
    unreadable: list[str] = field(default_factory=list)
    """File and line of what is none of a decision log."""

    def sample(self, model: str, release: str, window: Window, most: int) -> Sample:
        """Answers that engines of the release gave under the model's own name. What failed is left out, for no
        training mends it; so is what was answered by an earlier answer. Raises Missing where no file is there.

        Of each answer a digest is held in memory, and twice `most` lines, however long the log is."""
        seen: set[bytes] = set()
        found: dict[bytes, Decision] = {}
        lost = 0
        for digest, line in self._lines():
            if not window.holds(line.time):
                continue
            if isinstance(line, Gap):
                lost += line.lost
            elif (line.route, line.release, line.status) == (model, release, 200) and line.tries is not None:
                seen.add(digest)
                found[digest] = line
                if len(found) > 2 * most:
                    found = {digest: found[digest] for digest in heapq.nsmallest(most, found)}
        chosen = heapq.nsmallest(most, found)
        told = SampleTold(records=len(seen), sampled=len(chosen), lost=lost, digest=digest_bytes(b"".join(chosen)))
        return Sample([found[digest] for digest in chosen], told)

    def _lines(self) -> Iterator[tuple[bytes, Decision | Gap]]:
        self.unreadable.clear()
        files = sorted(self.folder.glob("*.jsonl"))
        if not files:
            raise Missing(f"{self.folder}: no decision log there; `nexus-gateway serve --decisions` writes one")
        for file in files:
            with file.open("rb") as lines:
                for number, data in enumerate(lines, 1):
                    try:
                        yield hashlib.sha256(data).digest(), _read.validate_json(data)
                    except ValidationError:
                        self.unreadable.append(f"{file.name}:{number}")
