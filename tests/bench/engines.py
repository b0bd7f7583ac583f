"""The same load on several engines, in interleaved rounds: `make bench-engines`.

    python -m tests.bench.engines --engines "vllm=http://a:8000 sglang=http://b:30000" page.md figures.json

Without `--engines` it starts what this machine can, on a small checkpoint that it makes, and ends it however it ends
itself, but by SIGKILL. NEXUS_API_KEY is sent as the key. Ends with 1 where an engine has answered nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import httpx

from nexus_release.errors import BadInput, NexusError

from .endpoints import Endpoint, named, small_checkpoint, started
from .figures import Figures, Ratio, figures, ratio
from .gpu_use import GpuUse
from .load import Load, closed_loop, open_loop
from .page import page
from .questions import arrivals, questions


@dataclass(frozen=True)
class Case:
    clients: int = 0
    """Of a closed loop; 0 for an open one."""
    rate: float = 0.0
    """Requests a second of an open loop."""

    @property
    def name(self) -> str:
        return f"closed, {self.clients}" if self.clients else f"open, {self.rate:g}/s"


@dataclass(frozen=True)
class Measured:
    """One engine under one load."""

    engine: str
    version: str
    batch: str
    case: str
    figures: Figures
    gpu: str
    ratios: dict[str, Ratio | None] = field(default_factory=dict)
    """To the baseline, by what is compared."""


@dataclass(frozen=True)
class Plan:
    cases: tuple[Case, ...]
    rounds: int
    requests: int
    """Of one round; no fewer than three for each client."""
    seed: int
    baseline: str
    ignore_eos: bool
    """Answers have the length that is asked for."""


_COMPARED = {
    "tokens/s": lambda found: found.tokens_per_second,
    "TTFT p50": lambda found: found.first[0],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engines", description=__doc__)
    parser.add_argument("--engines", default="", help="NAME=URL NAME=URL ...")
    parser.add_argument("--baseline", default="", help="its name; the first by default")
    parser.add_argument("--clients", type=_count, nargs="*", default=[1, 4, 16])
    parser.add_argument("--rates", type=_rate, nargs="*", default=[4.0], help="requests a second")
    parser.add_argument("--batches", type=_count, nargs="+", default=[4, 16], help="of engines that are started here")
    parser.add_argument("--rounds", type=_count, default=5)
    parser.add_argument("--requests", type=_count, default=48, help="of a round")
    parser.add_argument(
        "--ignore-eos",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="have answers of the asked length; without it an answer ends where its model ends it",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("page", type=Path)
    parser.add_argument("json", type=Path)
    said = parser.parse_args()
    cases = (*(Case(clients=one) for one in said.clients), *(Case(rate=one) for one in said.rates))
    plan = Plan(cases, said.rounds, said.requests, said.seed, said.baseline, said.ignore_eos)
    try:
        offer = offered(said.engines, said.batches, ignore_eos=said.ignore_eos)
        with _ended_in_order(offer):
            found = [row for endpoints in offer for row in compared(endpoints, plan)]
    except (NexusError, httpx.HTTPError) as error:
        parser.error(str(error))
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    said.page.write_text(page(found, plan, given=bool(said.engines)), encoding="utf-8")
    return 0 if all(row.figures.answered for row in found) else 1


@contextmanager
def _ended_in_order(offer: Generator[list[Endpoint], None, None]) -> Iterator[None]:
    """A signal ends the process after the engines of `offer`, which no second one cuts short."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if offer.gi_running:
            sys.exit(128 + number)
        offer.close()
        os._exit(128 + number)  # no exception: they are measured now, and uvloop may swallow what is raised within it

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        offer.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _count(said: str) -> int:
    if (number := int(said)) < 1:
        raise argparse.ArgumentTypeError(f"{said} is refused: give 1 or more")
    return number


def _rate(said: str) -> float:
    if not 0 < (number := float(said)) < math.inf:
        raise argparse.ArgumentTypeError(f"{said} is refused: give more than 0")
    return number


def offered(engines: str, batches: Sequence[int], *, ignore_eos: bool) -> Generator[list[Endpoint], None, None]:
    """Those that are named; else what can be started, once for each batch."""
    if engines:
        yield named(engines, os.environ.get("NEXUS_API_KEY", "none"), ignore_eos=ignore_eos)
        return
    with tempfile.TemporaryDirectory(prefix="nexus-bench-") as folder:
        checkpoint = small_checkpoint(Path(folder))
        for batch in batches:
            with started(Path(folder), checkpoint, batch, ignore_eos=ignore_eos) as endpoints:
                yield endpoints


def compared(endpoints: Sequence[Endpoint], plan: Plan) -> list[Measured]:
    """Each case in rounds, in which every engine has its turn and none always the first. Raises BadInput for a baseline
    that is not among them."""
    names = [endpoint.target.name for endpoint in endpoints]
    if plan.baseline and plan.baseline not in names:
        raise BadInput("--baseline", plan.baseline, f"take one of {', '.join(names)}")
    for endpoint in endpoints:
        closed_loop(endpoint.target, questions(-1, 4), 2)  # what is compiled or fetched at the first request
    found = []
    for case in plan.cases:
        loads = {name: list[Load]() for name in names}
        uses = dict.fromkeys(loads, "")
        for number in range(plan.rounds):
            turn = number % len(endpoints)
            for endpoint in (*endpoints[turn:], *endpoints[:turn]):
                with GpuUse() as use:
                    loads[endpoint.target.name].append(run(endpoint, case, plan, number))
                uses[endpoint.target.name] = use.said
        baseline = loads[plan.baseline or names[0]]
        for endpoint in endpoints:
            name = endpoint.target.name
            row = Measured(
                name, endpoint.version, endpoint.batch, case.name, figures(loads[name]), uses[name],
                {of: ratio(loads[name], baseline, measured) for of, measured in _COMPARED.items()},
            )  # fmt: skip
            found.append(row)
            sys.stderr.write(f"{name}, batch {endpoint.batch}, {case.name}: {row.figures}\n")
    return found


def run(endpoint: Endpoint, case: Case, plan: Plan, number: int) -> Load:
    """One round: what is asked follows from its number, so each engine is asked the same and never the same twice."""
    asked = questions(plan.seed + number, max(plan.requests, 3 * case.clients))
    if case.clients:
        return closed_loop(endpoint.target, asked, case.clients)
    return open_loop(endpoint.target, asked, arrivals(plan.seed + number, len(asked), case.rate))


if __name__ == "__main__":
    sys.exit(main())
