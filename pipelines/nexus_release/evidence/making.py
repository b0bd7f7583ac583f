"""Picks the page of a step, and reads from the store what the page shows besides the step's own output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_release.errors import BadInput, Missing
from nexus_release.evidence.data import data_page
from nexus_release.evidence.ending import release_page
from nexus_release.evidence.html import html_text
from nexus_release.evidence.markdown import markdown_text
from nexus_release.evidence.models import quantized_page, trained_page
from nexus_release.evidence.page import Facts, Page
from nexus_release.evidence.proposal import proposed_page, registered_page, rendered_page
from nexus_release.evidence.verdicts import evaluated_page, fitted_page, inspected_page, verdict_page
from nexus_release.frozen import Artifact, Frozen
from nexus_release.gates import REPORT
from nexus_release.graph import NODES, ReleaseParams
from nexus_release.journal import StepResult, json_text, write_whole
from nexus_release.ports import Store
from nexus_release.record import Verdict
from nexus_release.steps.render import DIFF
from nexus_release.summary import NAME, TIMINGS, journalled, run_folder
from nexus_release.wiring import Tools

SUMMARY = "summary"


@dataclass(frozen=True)
class Left:
    """What a step leaves elsewhere: in the store or the registry."""

    uri: str
    metadata: Mapping[str, str | int]


@dataclass(frozen=True)
class Evidence:
    page: Page
    left: Left | None = field(default=None)


def evidence_of(name: str, params: ReleaseParams, tools: Tools) -> Evidence:
    """Of a step, or of the whole release under the name `summary`. Raises BadInput for another name, and Missing where
    the work folder does not have it yet."""
    if name == SUMMARY:
        return Evidence(_ending(params, tools))
    if name not in NODES:
        raise BadInput("evidence", name, f"one of {', '.join((*NODES, SUMMARY))}")
    results, _ = journalled(params, tools.work)
    found = next((result for result in results if result.step == name), None)
    if found is None:
        raise Missing(f"{name} has left no result in {tools.work}: run the step first")
    return step_evidence(found, tools.store)


def step_evidence(result: StepResult, store: Store) -> Evidence:
    step = NODES[result.step].step
    given, out = step.given.model_validate(result.given), step.gives.model_validate(result.out)
    page = _PAGES[step.name](given, out, store) if step.name in _PAGES else plain_page(step.name, out)
    left = _LEFT[step.name](given, out, store) if step.name in _LEFT else None
    return Evidence(page, left)


def plain_page(name: str, out: Frozen) -> Page:
    """Of a step that has no page of its own."""
    if isinstance(out, Verdict):
        return verdict_page(name.capitalize(), out)
    found = out.model_dump(mode="json").items()
    return Page(name.capitalize(), (Facts(tuple((key, str(value)) for key, value in found)),))


def write_evidence(evidence: Evidence, into: Path) -> None:
    """`page.html`, `page.md`, `figures.json`, and `left.json` where the step leaves something elsewhere."""
    write_whole(into / "page.html", html_text(evidence.page))
    write_whole(into / "page.md", markdown_text(evidence.page))
    write_whole(into / "figures.json", json_text(dict(evidence.page.amounts)))
    if left := evidence.left:
        write_whole(into / "left.json", json_text({"uri": left.uri, "metadata": dict(left.metadata)}))


_PAGES: Mapping[str, Callable[[Any, Any, Store], Page]] = {
    "validate": lambda given, out, store: data_page(given, out, _json(store.get(out.dataset) / "report.json")),
    "train": lambda given, out, _: trained_page(given, out),
    "quantize": lambda given, out, _: quantized_page(given, out),
    "fit": lambda given, out, _: fitted_page(given, out),
    "inspect": lambda given, out, store: inspected_page(given, out, _report(out, store)),
    "evaluate": lambda given, out, store: evaluated_page(given, out, _report(out, store)),
    "register": lambda given, out, _: registered_page(given, out),
    "render": lambda given, out, store: rendered_page(given, out, (store.get(out.diff) / DIFF).read_text("utf-8")),
    "propose": lambda given, out, _: proposed_page(given, out),
}


_LEFT: Mapping[str, Callable[[Any, Any, Store], Left]] = {
    "validate": lambda _, out, store: Left(store.uri(out.dataset), {"digest": out.dataset, "rows": out.rows}),
    "train": lambda _, out, store: _in_store(out.model, store),
    "quantize": lambda _, out, store: _in_store(out.artifact, store),
    "register": lambda given, out, _: Left(f"models:/{given.model}/{out.version}", {"release": out.release}),
}


def _in_store(made: Artifact, store: Store) -> Left:
    return Left(store.uri(made.digest), {"digest": made.digest, "bytes": made.bytes, "files": made.files})


def _ending(params: ReleaseParams, tools: Tools) -> Page:
    folder = run_folder(tools.work, params)
    try:
        return release_page(_json(folder / NAME), _json(folder / TIMINGS))
    except FileNotFoundError:
        raise Missing(f"{folder / NAME} is not there: run `nexus summary` first") from None


def _report(out: Verdict, store: Store) -> Any:
    return _json(store.get(out.evidence) / REPORT)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
