"""One run: questions at their times, by gateways, to engines that come and go; the same again by the same seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ...support import virtual_time
from .engines import Engine, Machine
from .gateways import Gateway, Handled, Made
from .texts import Question


@dataclass(frozen=True)
class Change:
    """Of the endpoints, for all gateways at once."""

    at: float
    engines: tuple[int, ...]
    """The numbers of those that may be asked from then on."""


@dataclass(frozen=True)
class Fleet:
    machine: Machine
    engines: int = 8
    gateways: int = 1
    changes: tuple[Change, ...] = ()
    """After the first, which is at 0 and has all of `engines`."""


@dataclass(frozen=True)
class Ran:
    handled: list[Handled]
    """In the order of the questions."""
    remembered: list[int]
    """By each gateway's strategy, after each tenth of the questions; the most of any gateway."""


def run(questions: Sequence[Question], fleet: Fleet, made: Made, seed: int = 0) -> Ran:
    return virtual_time.run(_run(questions, fleet, made, seed))


async def _run(questions: Sequence[Question], fleet: Fleet, made: Made, seed: int) -> Ran:
    engines: dict[int, Engine] = {}
    gateways = [
        Gateway(made(random.Random(f"{seed}/{number}/choice")), random.Random(f"{seed}/{number}/scrape"))
        for number in range(fleet.gateways)
    ]
    changes = [Change(0.0, tuple(range(fleet.engines))), *fleet.changes]
    scraping: list[asyncio.Task[None]] = []
    asked: list[asyncio.Task[Handled]] = []
    remembered: list[int] = []
    for number, question in enumerate(questions, 1):
        while changes and changes[0].at <= question.at:
            await _until(changes[0].at)
            _resolve(gateways, engines, changes.pop(0), fleet.machine)
            scraping = scraping or [asyncio.create_task(gateway.scrape()) for gateway in gateways]
        await _until(question.at)
        asked.append(asyncio.create_task(gateways[int(question.door * len(gateways))].ask(question)))
        if number % max(1, len(questions) // 10) == 0:
            remembered.append(max(gateway.strategy.remembered() for gateway in gateways))
    handled = list(await asyncio.gather(*asked))
    for task in scraping:
        task.cancel()
    return Ran(handled, remembered)


async def _until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))


def _resolve(gateways: Sequence[Gateway], engines: dict[int, Engine], change: Change, machine: Machine) -> None:
    there = [engines.setdefault(number, Engine(f"http://engine-{number}:8000", machine)) for number in change.engines]
    for gateway in gateways:
        gateway.resolve(there)
