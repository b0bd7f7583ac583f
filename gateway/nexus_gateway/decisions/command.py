"""`nexus-gateway replay`: read the log, find the routes, decide again, tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from pydantic import ValidationError

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.decisions.commits import Commits
from nexus_gateway.decisions.decision_schema import Decision, read_line
from nexus_gateway.decisions.replay import Verdict, replay
from nexus_gateway.snapshot import Snapshot, Source, load
from nexus_terminal.progress import Progress


@dataclass
class Log:
    decisions: list[tuple[str, Decision]] = field(default_factory=list)
    """With file and line."""
    lost: int = 0
    unreadable: list[str] = field(default_factory=list)


def run_replay(
    paths: Sequence[Path], routes: Path | None, repository: Path | None, path: str | None, at: str | None, as_json: bool
) -> int:
    """The status to end with."""
    try:
        with Progress("the log is read") as progress:
            log = read_log(paths)
            known, other = _routes(log, routes, _commits(repository, path), at)
            progress.on(f"{len(log.decisions)} decisions are made again")
            verdict = replay(log.decisions, known, other)
    except (ConfigRefused, OSError) as error:
        click.echo(f"nexus-gateway: {error}", err=True)
        return 2
    verdict.lost, verdict.unreadable = log.lost, log.unreadable
    click.echo(json.dumps(verdict.document()) if as_json else "\n".join(told(verdict)))
    if not verdict.own and not verdict.other:
        click.echo("nexus-gateway: no decision could be made again: are these its routes?", err=True)
        return 2
    return 0 if verdict.sound else 1


def read_log(paths: Sequence[Path]) -> Log:
    """Raises OSError, and ConfigRefused where no file is there."""
    log, files = Log(), [file for path in paths for file in _files(path)]
    if not files:
        raise ConfigRefused("no decision log there: name its files, or their folder")
    for file in files:
        with file.open("rb") as lines:
            for number, data in enumerate(lines, 1):
                _read(log, f"{file.name}:{number}", data)
    return log


def told(verdict: Verdict) -> Iterator[str]:
    """For people."""
    agree = verdict.own - len(verdict.disagreements)
    yield f"{verdict.own} decisions by their own routes: {agree} agree, {len(verdict.disagreements)} do not"
    for one in verdict.disagreements[:20]:
        yield f"  {one.place}: recorded {one.recorded}; decided again {one.decided}"
    if verdict.other:
        moved = sum(change.count for change in verdict.changes.values())
        unknown = sum(verdict.unknown.values())
        yield f"{verdict.other} decisions by other routes: {moved} would change, {unknown} cannot be told"
    for (route, before, after), change in sorted(verdict.changes.items()):
        span = f", buckets {min(change.buckets)} to {max(change.buckets)}" if change.buckets else ""
        yield f"  {route}: {before} -> {after}: {change.count}{span}"
    for why, count in verdict.unknown.items():
        yield f"  cannot be told: {why}: {count}"
    for revision, count in verdict.revisions_not_found.items():
        yield f"{count} decisions by revision {revision[:12]}, which is not there"
    if verdict.lost:
        yield f"{verdict.lost} decisions were lost when the log was written"
    if verdict.unreadable:
        yield f"{len(verdict.unreadable)} lines are none of a decision log: {', '.join(verdict.unreadable[:5])}"


def _read(log: Log, place: str, data: bytes) -> None:
    try:
        line = read_line.validate_json(data)
    except ValidationError:
        log.unreadable.append(place)
        return
    if isinstance(line, Decision):
        log.decisions.append((place, line))
    else:
        log.lost += line.lost


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def _commits(repository: Path | None, path: str | None) -> Commits | None:
    if (repository is None) != (path is None):
        raise ConfigRefused("--repository and --path go together")
    return Commits(repository, path) if repository is not None and path is not None else None


def _routes(
    log: Log, routes: Path | None, commits: Commits | None, at: str | None
) -> tuple[dict[str, Snapshot], Snapshot | None]:
    """Revision -> its routes; and the routes to decide by besides. Raises ConfigRefused."""
    if routes is None and commits is None:
        raise ConfigRefused("whose routes? give --routes FOLDER, or --repository FOLDER and --path")
    if at is not None and (commits is None or routes is not None):
        raise ConfigRefused("--at names a commit of --repository, and stands without --routes")
    other = load(Source(routes, None, 10.0)) if routes is not None else None
    if commits is not None and at is not None:
        other = commits.at(at)
    known = commits.of_revisions({line.revision for _, line in log.decisions}) if commits is not None else {}
    if other is not None:
        known.setdefault(other.revision, other)
    return known, other
