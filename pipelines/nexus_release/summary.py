"""How a release ended: `summary.json`, the same on every engine, and `timings.json`, what happened this once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nexus_release.code import steps_digest
from nexus_release.digests import digest_bytes
from nexus_release.frozen import Frozen
from nexus_release.graph import NODES, ReleaseParams, gather, runs
from nexus_release.journal import StepResult, find_result, json_text, step_key, write_whole
from nexus_release.names import model_slug

Outcome = Literal["done", "refused", "failed"]
NAME = "summary.json"
TIMINGS = "timings.json"


@dataclass(frozen=True)
class Ended:
    outcome: Outcome
    reason: str
    """Which gate said no and why, or what failed; empty where the release is done."""


def run_folder(work: Path, params: ReleaseParams) -> Path:
    """One folder for each set of parameters, so that a run that is repeated finds its own summary."""
    mark = hashlib.sha256(params.model_dump_json().encode()).hexdigest()[:8]
    return work / "runs" / f"{model_slug(params.model)}-{mark}"


def ended(outs: Mapping[str, Frozen]) -> Ended:
    """How a release has ended whose steps have found `outs`, where nothing failed."""
    for name, out in outs.items():
        if getattr(out, "accepted", True) is False:
            return Ended("refused", f"{name}: {getattr(out, 'reason', 'refused')}")
    return Ended("done", "")


def summarize(params: ReleaseParams, work: Path, failed: str = "") -> Path:
    """For an engine that runs each step in a process of its own, so that none of them has seen the whole: what the
    steps of this release have left in `work`, up to the first that is not there."""
    results, missing = journalled(params, work)
    outs = {result.step: NODES[result.step].step.gives.model_validate(result.out) for result in results}
    trouble = failed or (missing and f"{missing}: it has left no result")
    return write_summary(work, params, Ended("failed", trouble) if trouble else ended(outs), results)


def journalled(params: ReleaseParams, work: Path) -> tuple[list[StepResult], str]:
    """The results in the order of the graph, and the step that should have left one and has not."""
    outs: dict[str, Frozen] = {}
    results: list[StepResult] = []
    for name, node in NODES.items():
        if not runs(node, outs):
            continue
        result = find_result(work, node.step, step_key(node.step, steps_digest(), gather(node, params, outs)))
        if result is None:
            return results, name
        outs[name] = node.step.gives.model_validate(result.out)
        results.append(result)
    return results, ""


def write_summary(work: Path, params: ReleaseParams, end: Ended, results: Sequence[StepResult]) -> Path:
    """Returns the path of `summary.json`. Nothing in it depends on the engine, the machine or the moment."""
    folder = run_folder(work, params)
    steps = [
        {
            "step": result.step,
            "key": result.key,
            "digest": digest_bytes(json_text(result.out).encode()),
            "out": result.out,
        }
        for result in results
    ]
    summary = {"inputs": params.model_dump(mode="json"), "outcome": end.outcome, "reason": end.reason, "steps": steps}
    write_whole(folder / TIMINGS, json_text([_timing(result) for result in results]))
    write_whole(folder / NAME, json_text(summary))
    return folder / NAME


def _timing(result: StepResult) -> Mapping[str, object]:
    """Of the run that found the output, which was an earlier one where it is reused."""
    return {"step": result.step, "started": result.started, "seconds": result.seconds, "notes": result.notes}
