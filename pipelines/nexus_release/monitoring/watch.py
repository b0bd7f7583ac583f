"""One look at live traffic: report the window, judge the history, and tell where a release is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput, Missing
from nexus_release.history import stable_since
from nexus_release.monitoring.decisions import Log
from nexus_release.monitoring.outbox import Event, alone, deliver, noted
from nexus_release.monitoring.report import DriftReport, Subject, history, keep, make_report, put_report
from nexus_release.monitoring.spending import gpu_hours
from nexus_release.monitoring.verdict import Seen, Verdict, judge
from nexus_release.monitoring.windows import Window, last_whole, lasting, moment, parsed, written
from nexus_release.names import model_slug
from nexus_release.ports import DriftEvents, Repository
from nexus_release.wiring import Tools


@dataclass(frozen=True)
class Asked:
    """What a person or a clock asks to be looked at. Times are as written; None takes the settings' own."""

    model: str
    environment: str
    root: Path
    decisions: Path
    since: str | None = None
    until: str | None = None
    reference_since: str | None = None
    reference_until: str | None = None
    dataset: str | None = None
    """URI to train on, where a release follows; None leaves it to the release file."""


class NoReferenceYet(Missing):
    """The stable release is too young, or the window too old."""


@dataclass(frozen=True)
class Watched:
    report: DriftReport
    digest: str
    verdict: Verdict
    told: bool
    """True where a release was asked for by this look."""
    unreadable: tuple[str, ...]


def watch(asked: Asked, tools: Tools, events: DriftEvents | None, now: datetime) -> Watched:
    """Keeps the report, judges what is known with it, and where a release is due tells `events`. Raises Missing where
    there is no plan or log, NoReferenceYet, BadInput, Conflict, or what `events` raises."""
    settings = load_settings(asked.root, asked.environment)
    subject = subject_of(asked, settings, tools.repository, now)
    folder = tools.work / "drift" / asked.environment / model_slug(asked.model)
    log = Log(asked.decisions)
    with alone(folder):
        report = make_report(log, subject, settings.drift.measuring)
        digest = keep(folder / "windows", tools.store, report)
        verdict = judged(folder, subject, tools, settings)
        due = events is not None and verdict.action == "send"
        if events is not None and due:
            event = Event(report=verdict.report or "", at=written(verdict.at))
            extra = {"dataset": asked.dataset} if asked.dataset else {}
            deliver(folder / "events", events, asked.model, event, extra)
    return Watched(report, digest, verdict, due, tuple(log.unreadable))


def look(asked: Asked, tools: Tools, now: datetime) -> tuple[DriftReport, str]:
    """The report and its digest; it is in the store then, and in no history."""
    settings = load_settings(asked.root, asked.environment)
    report = make_report(
        Log(asked.decisions), subject_of(asked, settings, tools.repository, now), settings.drift.measuring
    )
    return report, put_report(tools.store, report)


def subject_of(asked: Asked, settings: Settings, repository: Repository, now: datetime) -> Subject:
    """Raises Missing or NoReferenceYet."""
    release, since = stable_since(repository, asked.environment, asked.model)
    window = _window(asked, settings, now)
    start = parsed("--reference-since", asked.reference_since or since)
    end = start + timedelta(hours=settings.drift.reference_hours)
    if asked.reference_until:
        end = parsed("--reference-until", asked.reference_until)
    if start >= end:
        raise BadInput("--reference-until", written(end), f"it begins at {written(start)}")
    if moment(window.since) < end:
        against = f"what release {release[:12]} answered from {written(start)} to {written(end)}"
        raise NoReferenceYet(f"{asked.model}: a window is held against {against}, and begins after that")
    reference = Window(since=written(start), until=written(end))
    return Subject(
        model=asked.model, environment=asked.environment, release=release, window=window, reference=reference
    )


def judged(folder: Path, subject: Subject, tools: Tools, settings: Settings) -> Verdict:
    kept = history(folder / "windows", tools.store, subject)
    seen = [
        Seen(one.digest, moment(window.since), moment(window.until), one.report.level)
        for one in kept
        for window in [one.report.subject.window]
    ]
    until = seen[-1].until
    since = until - timedelta(days=settings.drift.budget.days)
    spent = gpu_hours(tools.work, since, until, settings.gpu.count) if settings.gpu.enabled else 0.0
    return judge(seen, noted(folder / "events"), spent, settings.drift)


def _window(asked: Asked, settings: Settings, now: datetime) -> Window:
    hours = settings.drift.window_hours
    until = parsed("--until", asked.until) if asked.until else last_whole(now, hours)
    if asked.since is None:
        return lasting(until, hours)
    since = parsed("--since", asked.since)
    if since >= until:
        raise BadInput("--since", asked.since, f"the window ends at {written(until)}")
    return Window(since=written(since), until=written(until))
