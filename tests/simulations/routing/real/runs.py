"""Real gateways before mock engines, in real time: all kinds and numbers of them side by side, each before engines of
its own, so that a workload takes as long as one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean

from nexus_release.local.free_ports import free_port
from nexus_release.local.processes import Process, Program, wait_answering

from ..grid import STRATEGIES, Figures, figures, percentile
from ..workloads import ENGINES, Trace, Workload, tenants, trace
from .asked import Asked, asked, rushed
from .gateways import START_SECONDS, Real, Running, running
from .measured import Growth, Row

CLIENTS = 8
_SIMULATED = {"vllm-router": "vllm-router, sglang-router", "sglang-router": "vllm-router, sglang-router"}


def rows(workload: Workload, trail: Trace, kinds: Sequence[Real], numbers: Sequence[int], folder: Path) -> list[Row]:
    todo = [(kind, number) for kind in kinds for number in numbers]
    with ExitStack() as stack:
        started = []
        for kind, number in todo:
            own = folder / f"{workload.name}-{kind.name}-{number}"
            urls = stack.enter_context(engines(own))
            started.append(stack.enter_context(running(kind, number, urls, own)))
        before = [_memory(each) for each in started]
        with ThreadPoolExecutor(len(todo)) as pool:
            until = trail.measured_from + trail.seconds
            ports = [[one.port for one in each] for each in started]
            answered = list(pool.map(lambda each: asked(trail.questions, each, until), ports))
        after = [_memory(each) for each in started]
    return [
        _row(workload.name, kind.name, number, trail, answers, _simulated(workload, trail, kind, number), empty, used)
        for (kind, number), answers, empty, used in zip(todo, answered, before, after, strict=True)
    ]


def growth(kind: Real, warming: int, rush: int, folder: Path) -> Growth:
    """Of the memory of one gateway, by `tenants` as quick as they are answered."""
    questions = trace(tenants(), 0.5, warming + rush).questions
    with engines(folder / f"rush-{kind.name}", "--instant") as urls, running(kind, 1, urls, folder / "rush") as found:
        before = _memory(found)
        first = rushed(questions[:warming], found[0].port, CLIENTS)
        warm = _memory(found)
        then = rushed(questions[warming : warming + rush], found[0].port, CLIENTS)
        after = _memory(found)
    return Growth(kind.name, before, warm, after, sum(bool(one.error) for one in (*first, *then)))


@contextmanager
def engines(folder: Path, *flags: str) -> Iterator[list[str]]:
    ports = [free_port() for _ in range(ENGINES)]
    command = (sys.executable, "-m", "tests.simulations.routing.real.engines", *map(str, ports), *flags)
    with Process.start(Program("engines", command), folder / "engines.log") as process:
        wait_answering(process, f"http://127.0.0.1:{ports[-1]}/health", START_SECONDS)
        yield [f"http://127.0.0.1:{port}" for port in ports]


def _memory(gateways: Sequence[Running]) -> float:
    return fmean(one.memory for one in gateways)


def _simulated(workload: Workload, trail: Trace, kind: Real, gateways: int) -> Figures:
    return figures(workload, trail, gateways, STRATEGIES[_SIMULATED.get(kind.name, kind.name)]())


def _row(
    workload: str,
    kind: str,
    gateways: int,
    trail: Trace,
    answered: Sequence[Asked],
    simulated: Figures,
    before: float,
    after: float,
) -> Row:
    counted = [one for one in answered if one.question.at >= trail.measured_from]
    whole = [one.answer for one in counted if not one.answer.error]
    waits = sorted(one.wait for one in counted)
    return Row(
        workload,
        kind,
        gateways,
        sum(one.cached_tokens for one in whole) / max(1, sum(one.prompt_tokens for one in whole)),
        percentile(waits, 0.5),
        percentile(waits, 0.99),
        1 - len(whole) / len(counted),
        simulated.hits,
        simulated.p50,
        simulated.p99,
        before,
        after,
        percentile(sorted(one.late for one in counted), 0.99),
    )
