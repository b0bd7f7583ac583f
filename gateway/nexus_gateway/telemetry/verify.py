"""Whether audit files are what was written: reads them, follows each chain, and names the first line that lies.

What a kill leaves is told as a note and is no fault: a file without its line `closed`, a last line that is cut off.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nexus_gateway.config_errors import first_error
from nexus_gateway.telemetry.audit_schema import AuditClosed, AuditDecision, AuditGap, AuditHeader, Line, read_line
from nexus_gateway.telemetry.chain import ZEROS, Tip, canonical, line_hash

_LONGEST_LINE = 1 << 20


class NothingToVerify(Exception):
    """A path that cannot be read, or that has no audit files."""


@dataclass(frozen=True)
class Finding:
    file: Path
    line: int
    what: str
    """`hash`, `order`, `gap`, `open` or `cut`; `begins` where earlier files of the chain are not here."""
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}: {self.detail}"

    def document(self) -> dict[str, Any]:
        return {"file": str(self.file), "line": self.line, "what": self.what, "detail": self.detail}


class Lie(Exception):
    """A line that is not what was written: what of it, and the detail."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(detail)
        self.what = what


@dataclass
class Walked:
    """One file, as far as it is sound."""

    path: Path
    header: AuditHeader | None = None
    closed: AuditClosed | None = None
    tip: Tip = field(default_factory=Tip)
    lines: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """`allowed`, `refused`, `lost`."""
    fault: Finding | None = None
    notes: list[Finding] = field(default_factory=list)

    def found(self, line: int, what: str, detail: str) -> Finding:
        return Finding(self.path, line, what, detail)


@dataclass(frozen=True)
class Verdict:
    files: int
    counts: Counter[str]
    ends: dict[str, str]
    """Chain -> hash of its last sound line: kept elsewhere, it also shows that lines were cut off at the end."""
    faults: list[Finding]
    """The first of each file."""
    notes: list[Finding]

    def __str__(self) -> str:
        allowed, refused, lost = (self.counts[name] for name in ("allowed", "refused", "lost"))
        found = [*(f"note: {note}" for note in self.notes), *map(str, self.faults)]
        counts = f"{self.files} files, {allowed} decisions allowed, {refused} refused, {lost} lost"
        return "\n".join([*found, f"{counts}: {'NOT what was written' if self.faults else 'the chain holds'}"])

    def document(self) -> dict[str, Any]:
        return {
            "sound": not self.faults,
            "files": self.files,
            **{name: self.counts[name] for name in ("allowed", "refused", "lost")},
            "ends": self.ends,
            "faults": [finding.document() for finding in self.faults],
            "notes": [finding.document() for finding in self.notes],
        }


def verify(paths: Iterable[Path]) -> Verdict:
    """Files, and folders of files `audit-*.jsonl`. Raises NothingToVerify."""
    walked = [walk(path) for path in _files(paths)]
    chains = _chains(walked)
    faults, notes = [], []
    for chain in chains.values():
        for before, after in zip([None, *chain], [*chain, None], strict=True):
            _join(before, after)
    for one in walked:
        faults += [one.fault] if one.fault else []
        notes += one.notes
    ends = {name: chain[-1].tip.hash for name, chain in chains.items()}
    return Verdict(len(walked), sum((one.counts for one in walked), Counter()), ends, faults, notes)


def walk(path: Path) -> Walked:
    """One file by itself, up to its first lie."""
    walked = Walked(path)
    with path.open("rb") as file:
        while raw := file.readline(_LONGEST_LINE):
            try:
                if not raw.endswith(b"\n") and _is_cut_off(raw):
                    walked.notes.append(walked.found(walked.lines + 1, "cut", "the last line is cut off, as by a kill"))
                    break
                _take(walked, _read(raw))
            except Lie as lie:
                walked.fault = walked.found(walked.lines + 1, lie.what, str(lie))
                break
    return walked


def _read(raw: bytes) -> Line:
    """Raises Lie."""
    try:
        document = json.loads(raw)
        if not isinstance(document, dict) or canonical(document) + b"\n" != raw:
            raise Lie("hash", "it is not in the form in which it was hashed")
        if document.get("hash") != line_hash(document):
            raise Lie("hash", "its content is not what its hash was made of")
        return read_line.validate_json(raw)
    except ValidationError as error:
        raise Lie("hash", f"no audit line: {first_error(error)}") from None
    except (ValueError, RecursionError):
        raise Lie("hash", "no JSON") from None


def _is_cut_off(raw: bytes) -> bool:
    """Whether it may be the beginning of a line: whole JSON with something else behind it is none."""
    try:
        _, end = json.JSONDecoder().raw_decode(raw.decode("ascii"))
    except UnicodeDecodeError:
        return False
    except (ValueError, RecursionError):
        return raw.startswith(b"{") and len(raw) < _LONGEST_LINE
    return end == len(raw)


def _take(walked: Walked, line: Line) -> None:
    """Raises Lie where the line does not follow."""
    if walked.closed:
        raise Lie("order", "it stands behind the line `closed`")
    if isinstance(line, AuditHeader) != (walked.header is None):
        raise Lie("order", "the first line is no header" if walked.header is None else "a second header")
    if isinstance(line, AuditHeader):
        if line.part == 0 and (line.seq, line.previous) != (0, ZEROS):
            raise Lie("order", "it is to begin the chain, and follows something")
        walked.header = line
    else:
        _follows(walked.tip, line)
    _count(walked, line)
    walked.tip, walked.lines = Tip(line.seq, line.hash), walked.lines + 1


def _follows(tip: Tip, line: Line) -> None:
    if line.seq > tip.seq + 1:
        raise Lie("order", f"lines that are missing before it: {line.seq - tip.seq - 1}")
    if line.seq <= tip.seq:
        raise Lie("order", f"line {line.seq} of the chain stands behind line {tip.seq}")
    if line.previous != tip.hash:
        raise Lie("order", "it was written behind another line than the one before it")


def _count(walked: Walked, line: Line) -> None:
    if isinstance(line, AuditDecision):
        walked.counts[line.decision] += 1
    elif isinstance(line, AuditGap):
        walked.counts["lost"] += line.lost
        walked.notes.append(walked.found(walked.lines + 1, "gap", f"{line.lost} decisions could not be written"))
    elif isinstance(line, AuditClosed):
        if line.count != walked.counts["allowed"] + walked.counts["refused"]:
            raise Lie("order", f"it counts {line.count} decisions, and the file has another number")
        walked.closed = line


def _chains(walked: list[Walked]) -> dict[str, list[Walked]]:
    chains = defaultdict[str, list[Walked]](list)
    for one in walked:
        if one.header:
            chains[one.header.chain].append(one)
    return {name: sorted(chain, key=_part) for name, chain in chains.items()}


def _part(walked: Walked) -> int:
    return walked.header.part if walked.header else 0


def _join(before: Walked | None, after: Walked | None) -> None:
    """What two files of a chain say of each other; None is before the first one and behind the last one."""
    if before and not before.fault:
        _look_at_end(before, after)
    if after and after.header:
        _look_at_beginning(before, after, after.header)


def _look_at_end(last: Walked, after: Walked | None) -> None:
    line = max(last.lines, 1)
    if last.closed is None:
        if after is None:
            last.notes.append(last.found(line, "open", "no line `closed`: the process runs or was killed"))
        elif after.lines == 1:
            last.notes.append(last.found(line, "open", f"the process was killed while it began {after.path.name}"))
        else:
            last.fault = last.found(line, "order", f"its end is not there, and {after.path.name} goes on")
    elif after is None and last.closed.next and not (last.path.parent / last.closed.next).exists():
        last.fault = last.found(line, "gap", f"{last.closed.next}, in which the chain goes on, is missing")
    elif after is None and last.closed.next:
        last.notes.append(last.found(line, "open", f"it goes on in {last.closed.next}, which was not asked for"))


def _look_at_beginning(before: Walked | None, after: Walked, header: AuditHeader) -> None:
    missing = header.part - (_part(before) + 1 if before else 0)
    if before is None and missing:
        after.notes.append(after.found(1, "begins", f"{missing} earlier files of the chain were not asked for"))
    elif missing > 0:
        after.fault = after.found(1, "gap", f"{missing} files of the chain before it are missing")
    elif missing < 0:
        after.fault = after.found(1, "order", "there is another file for the same part of the chain")
    elif before and before.closed and not _goes_on(before, before.closed, header):
        after.fault = after.found(1, "order", f"it does not go on where {before.path.name} ends")


def _goes_on(before: Walked, closed: AuditClosed, header: AuditHeader) -> bool:
    return closed.next is not None and (header.seq, header.previous) == (before.tip.seq + 1, before.tip.hash)


def _files(paths: Iterable[Path]) -> list[Path]:
    found = list[Path]()
    for path in paths:
        files = sorted(path.glob("audit-*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise NothingToVerify(f"{path}: no files audit-*.jsonl in it; name the folder of `serve --audit`")
        found += files
    for path in found:
        if not path.is_file():
            raise NothingToVerify(f"{path}: no such file")
    return list(dict.fromkeys(path.resolve() for path in found))
