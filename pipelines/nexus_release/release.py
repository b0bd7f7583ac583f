"""A release from its parameters to its proposal, in this process: what `nexus release` and the demo run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nexus_release.code import steps_digest
from nexus_release.errors import NexusError
from nexus_release.frozen import Frozen
from nexus_release.graph import NODES, Node, ReleaseParams, gather, runs
from nexus_release.journal import StepResult, find_result, keep_result, step_key
from nexus_release.step import Step
from nexus_release.summary import Ended, Outcome, ended, write_summary
from nexus_release.wiring import Tools

_RETRY_SECONDS = 1.0  # first pause; doubled each time, as a server that is overloaded wants


@dataclass(frozen=True)
class StepDone:
    """What a listener is told when a step ends."""

    name: str
    out: Frozen
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Release:
    """How a run ended. `outs` holds one output for each node that ran, by name."""

    outcome: Outcome
    reason: str
    outs: Mapping[str, Frozen]
    summary: Path


@dataclass(frozen=True)
class Listener:
    """Told about each step; the default says nothing."""

    started: Callable[[str], None] = lambda _: None
    done: Callable[[StepDone], None] = lambda _: None


def run_release(params: ReleaseParams, tools: Tools, listener: Listener | None = None) -> Release:
    """Runs every step whose guards hold, and leaves a summary however it ends (summary.py).

    A gate's no is an outcome (`refused`). An error is raised again after the summary is written.
    """
    listener = listener or Listener()
    outs: dict[str, Frozen] = {}
    results: list[StepResult] = []
    try:
        for name, node in NODES.items():
            if not runs(node, outs):
                continue
            listener.started(name)
            result, reused = _run_node(node, params, outs, tools)
            outs[name] = node.step.gives.model_validate(result.out)
            results.append(result)
            listener.done(StepDone(name, outs[name], result.seconds, reused))
    except BaseException as error:
        write_summary(tools.work, params, Ended("failed", f"{type(error).__name__}: {error}"), results)
        raise
    end = ended(outs)
    return Release(end.outcome, end.reason, outs, write_summary(tools.work, params, end, results))


def run_step(step: Step, given: Frozen, tools: Tools) -> tuple[StepResult, bool]:
    """Runs one step, or gives back what an earlier run with the same code and input left; True says so.

    Errors that may pass are tried again, `step.retries` times. A step's timeout is the engines' to keep;
    in this process it is not enforced.
    """
    key = step_key(step, steps_digest(), given)
    if step.cacheable and (kept := find_result(tools.work, step, key)):
        return kept, True
    tools.notes.clear()
    limited = tools.limited(step.effects)
    started, clock = datetime.now(UTC), time.monotonic()
    out = _try(step, given, limited)
    result = StepResult(
        step=step.name,
        key=key,
        given=given.model_dump(mode="json"),
        out=out.model_dump(mode="json"),
        notes=dict(limited.notes),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
    )
    keep_result(tools.work, result)
    return result, False


def _run_node(node: Node, params: ReleaseParams, outs: Mapping[str, Frozen], tools: Tools) -> tuple[StepResult, bool]:
    return run_step(node.step, gather(node, params, outs), tools)


def _try(step: Step, given: Frozen, tools: Tools) -> Frozen:
    for attempt in range(step.retries + 1):
        try:
            return step.run(given, tools)
        except NexusError as error:
            if not error.retry or attempt == step.retries:
                raise
            time.sleep(_RETRY_SECONDS * 2**attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")
