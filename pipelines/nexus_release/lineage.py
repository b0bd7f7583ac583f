"""From a dataset to every release that was made of it and where it is served, and back, by main's records and plans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from nexus_release.data_declaration import told
from nexus_release.documents import parse_yaml
from nexus_release.errors import Missing
from nexus_release.frozen import Frozen
from nexus_release.history import plans_at, routes_folder
from nexus_release.manifests.gateway import shares
from nexus_release.names import model_slug, service_name
from nexus_release.ports import History
from nexus_release.record import Record, parse_record
from nexus_release.sought import RECORDS, SHORTEST


class Serving(Frozen):
    """Where a plan of main names a release."""

    environment: str
    role: str
    """stable, canary or retained."""
    weight: int
    """Percent of the model's traffic, by the route file."""


class Descent(Frozen):
    """One release from its data to where it is served."""

    release: str
    record: Record
    recorded_by: str
    """The commit that brought the record; empty where it is further back than the history is read."""
    serving: tuple[Serving, ...]
    """By environment."""


def descents(history: History) -> list[Descent]:
    """Every release that main has a record of, sorted by path; each record's id is proved. Raises DigestMismatch or
    BadInput where a record is not what it says."""
    serving = _serving(history)
    found = []
    for path in history.paths("HEAD", RECORDS):
        release = PurePosixPath(path).stem
        record = parse_record(history.file("HEAD", path) or b"", path, release)
        brought = history.commits(path)
        by = brought[-1].hash if brought else ""
        found.append(Descent(release=release, record=record, recorded_by=by, serving=tuple(serving.get(release, ()))))
    return found


def lineage(history: History, what: str) -> list[Descent]:
    """The releases of a model, one release by the beginning of its id, or all that were made of, with or into
    something by its digest. Raises Missing where there is none."""
    found = [line for line in descents(history) if what in _names(line) or _begins(line, what)]
    if not found:
        raise Missing(
            f"{what}: main has no record of such a model, release, dataset, source, contract, base or artifact; of a "
            f"release at least {SHORTEST} digits, of anything else its whole sha256: digest"
        )
    return found


def environments(history: History) -> list[str]:
    """Those that main has settings of, sorted."""
    found = (PurePosixPath(path).parts for path in history.paths("HEAD", "environments"))
    return sorted({parts[1] for parts in found if len(parts) == 3 and parts[2] == "settings.yaml"})


def services(history: History) -> dict[str, tuple[str, str]]:
    """InferenceService -> (model, release), of every record."""
    return {
        service_name(line.record.content.model, line.release): (line.record.content.model, line.release)
        for line in descents(history)
    }


def text_of(line: Descent) -> list[str]:
    """For people: from the data down to who answers."""
    content, observed = line.record.content, line.record.observed
    data = content.dataset
    return [
        f"{content.model} {line.release}",
        f"  source     {data.source}, as it was read; contract {data.contract}",
        *(f"             {what}: {how}" for what, how in told(data.declaration)),
        f"  dataset    {data.digest}, {data.rows} clean rows",
        f"  checkpoint {content.base}, from {content.base_source}",
        f"  artifact   {content.artifact.digest}, {observed.registry_uri}",
        f"  record     {observed.time}, by commit {line.recorded_by[:12]}",
        *(f"  served     in {one.environment}, {one.role}, {one.weight} % of the traffic" for one in line.serving),
        *([] if line.serving else ["  served     nowhere by main's plans"]),
    ]


def _names(line: Descent) -> tuple[str, ...]:
    content = line.record.content
    data = content.dataset
    return (content.model, data.digest, data.source, data.contract, content.base, content.artifact.digest)


def _begins(line: Descent, what: str) -> bool:
    return re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", what) is not None and line.release.startswith(what)


def _serving(history: History) -> Mapping[str, list[Serving]]:
    found: dict[str, list[Serving]] = {}
    for environment in environments(history):
        for release, serving in _served_in(history, environment):
            found.setdefault(release, []).append(serving)
    return found


def _served_in(history: History, environment: str) -> Iterator[tuple[str, Serving]]:
    for plan in plans_at(history, environment, "HEAD").values():
        route = f"{routes_folder(environment)}/{model_slug(plan.model)}.yaml"
        data = history.file("HEAD", route)
        weights = shares(parse_yaml(data, route)) if data else {}  # type: ignore[arg-type]  # rendered by our own code, and checked when it landed
        canary = plan.canary.release if plan.canary else ""
        roles = {plan.stable.release: "stable", canary: "canary"}
        for release in plan.releases:
            weight = weights.get(service_name(plan.model, release), 0)
            yield release, Serving(environment=environment, role=roles.get(release, "retained"), weight=weight)
