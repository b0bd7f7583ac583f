"""The drift report of one window: made from the log, kept by its digest, and made again from what it says itself."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from nexus_release.digests import Digest, HexId
from nexus_release.documents import validated_json
from nexus_release.errors import BadInput, Conflict
from nexus_release.frozen import Frozen
from nexus_release.journal import json_text, write_whole
from nexus_release.monitoring.decisions import Log, SampleTold
from nexus_release.monitoring.policy import Hysteresis, Measuring
from nexus_release.monitoring.traffic import FeatureLevel, Level, compare, level_of
from nexus_release.monitoring.windows import Window
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.ports import Store

NAME = "drift.json"


class Subject(Frozen):
    """Whose traffic, and when."""

    model: ModelName
    environment: EnvironmentName
    release: HexId
    """The stable one; answers of others are left out, for they would differ by the model and not by the traffic."""
    window: Window
    reference: Window


class MeasuringTold(Frozen):
    """`Measuring` with its numbers as text, from which the very same numbers are read."""

    max_records: int
    min_records: int
    significance: str
    psi: tuple[str, str]
    """Lower, upper."""
    gap: tuple[str, str]


class DriftReport(Frozen):
    version: Literal[1] = 1
    subject: Subject
    measuring: MeasuringTold
    now: SampleTold
    then: SampleTold
    features: tuple[FeatureLevel, ...]
    level: Level
    """Of the window; `unknown` where either side has too few records."""


@dataclass(frozen=True)
class Kept:
    digest: str
    """Of the folder in the store that holds the report."""
    report: DriftReport


def make_report(log: Log, subject: Subject, measuring: Measuring) -> DriftReport:
    """A pure function of the lines in both windows: no clock, no name of a file, no order."""
    then = log.sample(subject.model, subject.release, subject.reference, measuring.max_records)
    now = log.sample(subject.model, subject.release, subject.window, measuring.max_records)
    features = compare(now.decisions, then.decisions, measuring)
    enough = min(now.told.records, then.told.records) >= measuring.min_records
    return DriftReport(
        subject=subject,
        measuring=_told(measuring),
        now=now.told,
        then=then.told,
        features=features,
        level=level_of(features) if enough else "unknown",
    )


def make_again(log: Log, report: DriftReport) -> DriftReport:
    """From the log, by what the report says of itself: equal, unless the log is another."""
    return make_report(log, report.subject, _measuring(report.measuring))


def report_text(report: DriftReport) -> str:
    return json_text(report.model_dump(mode="json"))


def put_report(store: Store, report: DriftReport) -> str:
    with tempfile.TemporaryDirectory(prefix="nexus-drift-") as folder:
        (Path(folder) / NAME).write_text(report_text(report), encoding="utf-8")
        return store.put(Path(folder)).digest


def get_report(store: Store, digest: str) -> DriftReport:
    """Raises Missing, DigestMismatch, or BadInput for what is no report."""
    try:
        return validated_json(DriftReport, (store.get(digest) / NAME).read_bytes(), digest)
    except FileNotFoundError:
        raise BadInput("report", digest, "it is no drift report; give what `nexus drift` has printed") from None


class Listed(Frozen):
    """A file of the history: the name is the window, the report is in the store."""

    report: Digest


def keep(folder: Path, store: Store, report: DriftReport) -> str:
    """The digest. The first report of a window stands: raises Conflict where its lines have changed since."""
    digest, path = put_report(store, report), folder / f"{report.subject.window.until.replace(':', '')}.json"
    if path.exists():
        if (stands := _listed(path)) != digest:
            raise Conflict(f"{path}: the window is reported already, as {stands}; its lines or its bounds have changed")
    else:
        write_whole(path, json_text(Listed(report=digest).model_dump()))
    return digest


def history(folder: Path, store: Store, subject: Subject) -> list[Kept]:
    """The reports of the same release against the same reference, in the order of their windows. Raises Conflict where
    two overlap."""
    kept = [Kept(digest, get_report(store, digest)) for digest in map(_listed, sorted(folder.glob("*.json")))]
    same = {"release": subject.release, "reference": subject.reference}
    found = [one for one in kept if one.report.subject == one.report.subject.model_copy(update=same)]
    windows = [one.report.subject.window for one in found]
    for earlier, later in pairwise(windows):
        if later.since < earlier.until:
            raise Conflict(f"{folder}: the windows that end at {earlier.until} and {later.until} overlap; keep one")
    return found


def _listed(path: Path) -> str:
    return validated_json(Listed, path.read_bytes(), str(path)).report


def _told(by: Measuring) -> MeasuringTold:
    return MeasuringTold(
        max_records=by.max_records,
        min_records=by.min_records,
        significance=repr(by.significance),
        psi=(repr(by.psi.lower), repr(by.psi.upper)),
        gap=(repr(by.gap.lower), repr(by.gap.upper)),
    )


def _measuring(told: MeasuringTold) -> Measuring:
    return Measuring(
        max_records=told.max_records,
        min_records=told.min_records,
        significance=float(told.significance),
        psi=Hysteresis(lower=float(told.psi[0]), upper=float(told.psi[1])),
        gap=Hysteresis(lower=float(told.gap[0]), upper=float(told.gap[1])),
    )
