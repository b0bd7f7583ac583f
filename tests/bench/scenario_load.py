"""The load scenarios of `ops/load/scenarios.json`, run from here: `make load`.

    python -m tests.bench.scenario_load smoke                       on a gateway and a mock engine that it starts
    python -m tests.bench.scenario_load spike --url http://host     on a gateway that runs; NEXUS_API_KEY is the key
    python -m tests.bench.scenario_load --page docs/reports/load.md     every scenario, and a page of what was found

Ends with 1 where a threshold is broken.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..support.gateway import Gateway, direct, write_routes
from ..support.worker import Worker
from .connection import Target
from .load import closed_loop, open_loop
from .load_page import page
from .questions import Question
from .scenarios import DECLARED, Declared, Request, Scenario, declared
from .thresholds import Found, judged


@dataclass(frozen=True)
class Ran:
    name: str
    scenario: Scenario
    phases: list[Found]
    own_share: float
    """Of a core, what the generator took: near 1 it has measured itself."""

    @property
    def broken(self) -> list[str]:
        return [f"{phase.phase}: {what}" for phase in self.phases for what in phase.broken]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scenario_load", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="smoke, baseline or spike; else all")
    parser.add_argument("--declared", type=Path, default=DECLARED, help="the scenarios")
    parser.add_argument("--url", default="", help="of a gateway that runs, without /v1")
    parser.add_argument("--model", default="", help="the declared one, unless named")
    parser.add_argument("--page", type=Path, help="where to write what was found; takes every scenario")
    said = parser.parse_args()
    known = declared(said.declared)
    if unknown := set(said.scenarios) - set(known.scenarios):
        parser.error(f"SCENARIO={unknown.pop()} is refused: take one of {', '.join(known.scenarios)}")
    if said.page and said.scenarios:
        parser.error("--page tells of every scenario: leave SCENARIO out")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started here ends too
    started = time.monotonic()
    with target(said.url, said.model or known.request.model) as asked:
        ran = [run(known, name, asked) for name in said.scenarios or known.scenarios]
    if said.page:
        said.page.write_text(page(ran, given=bool(said.url)), encoding="utf-8")
    sys.stderr.write(f"{time.monotonic() - started:.0f} s\n")
    return 1 if any(one.broken for one in ran) else 0


@contextmanager
def target(url: str, model: str) -> Iterator[Target]:
    """The gateway that is named, or one that is started here before a worker that computes nothing."""
    key = os.environ.get("NEXUS_API_KEY", "dev-key")
    if url:
        yield Target("gateway", url.rstrip("/").removesuffix("/v1"), model, key, ignore_eos=False)
        return
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="nexus-load-")))
        worker = running.enter_context(Worker("--engine=mock", f"--served-model-name={model}"))
        route = {**direct(model, worker.url), "policies": {"dev-key": {"requests_per_minute": 1_000_000}}}
        gateway = Gateway(folder, "--routes", str(write_routes(folder / "routes", {model: route})))
        running.callback(gateway.stop)
        yield Target("gateway", gateway.wait().url, model, "dev-key", ignore_eos=False)


def run(known: Declared, name: str, asked: Target) -> Ran:
    """The phases follow each other without a pause."""
    scenario = known.scenarios[name]
    question = _question(known.request)
    closed_loop(asked, [question] * 2, 1)  # connections and code that only a first request opens
    due, ends = [], [0]
    start = 0.0
    for phase in scenario.phases:
        due += [start + at for at in phase.due()]
        ends.append(len(due))
        start += phase.seconds
    load = open_loop(asked, [question] * len(due), due, at_once=scenario.at_once)
    slices = [load.answers[begin:end] for begin, end in pairwise(ends)]
    found = [judged(phase, answers) for phase, answers in zip(scenario.phases, slices, strict=True)]
    ran = Ran(name, scenario, found, load.own_share)
    _tell(ran)
    return ran


def _question(request: Request) -> Question:
    return Question(request.prompt, request.max_tokens)


def _tell(ran: Ran) -> None:
    for phase in ran.phases:
        sys.stdout.write(f"{ran.name}, {phase.phase}: {phase.answered} of {phase.requests} answered, "
            f"{phase.refused} refused, {phase.dropped} dropped, failed {phase.failed or 0}, "
            f"first {_milliseconds(phase.first_ms)}, whole {_milliseconds(phase.whole_ms)}\n")  # fmt: skip
    sys.stdout.writelines(f"broken: {ran.name}, {what}\n" for what in ran.broken)


def _milliseconds(found: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.0f} ms" for name, value in found.items()) or "unknown"


if __name__ == "__main__":
    sys.exit(main())
