"""Five loads, each a list of questions whose times are fixed beforehand: an open loop, whatever the answers do.

A load's saturation is the rate at which the engines would be busy all the time if nothing were ever computed twice:
no strategy can answer more for long, and one whose cache misses is full long before."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from nexus_worker.engines.mock.pace import Pace

from .engines import Machine
from .texts import Question, Text

ENGINES = 8
ONE_GPU = Machine(Pace(ttft_seconds=0.02, prefill_rate=4000, stream_rate=40, total_rate=1000), 200_000, block=64)
"""About a model of 8 billion parameters on a small GPU."""
EIGHT_GPUS = Machine(
    Pace(ttft_seconds=0.05, prefill_rate=30_000, stream_rate=50, total_rate=3000), 3_000_000, block=512
)
"""About a large model on eight large ones: agents' contexts are of no use elsewhere."""


@dataclass(frozen=True)
class Session:
    """One that asks again and again, each time with all that was said before."""

    text: Text
    tenant: str
    head: str
    turns: tuple[tuple[int, int], ...]
    """Tokens of the prompt, the earlier ones included, and of the answer."""
    pauses: tuple[float, ...]
    """Seconds from one question to the next."""


@dataclass(frozen=True)
class Workload:
    name: str
    says: str
    machine: Machine
    session: Callable[[random.Random, int], Session]
    """The session of this number."""
    filling: float
    """Seconds at half of saturation, in which caches fill."""
    rising: float
    """Seconds at the full rate before anything is measured: until those who asked before have ended."""
    patience: float
    """Seconds to the first token that still count as good."""


def heads(kind: str, block: int) -> Callable[[int], Text]:
    """Texts that many begin with, by number."""
    known: dict[int, Text] = {}
    return lambda number: known.setdefault(number, Text(f"{kind}-{number}", block))


def one_question(head: Text, number: int, shared: int, own: int, answer: int) -> Session:
    text = Text(f"{head.name}-asked-{number}", head.block, head, shared)
    return Session(text, head.name, head.name, ((shared + own, answer),), ())


def chat() -> Workload:
    products = heads("product", ONE_GPU.block)

    def session(rng: random.Random, number: int) -> Session:
        head = products(rng.randrange(5))
        turns, prompt = [], 512 + rng.randint(200, 1400)
        for _ in range(8):
            answer = rng.randint(100, 300)
            turns.append((prompt, answer))
            prompt += answer + rng.randint(50, 350)
        text = Text(f"chat-{number}", head.block, head, 512)
        return Session(text, head.name, head.name, tuple(turns), tuple(rng.uniform(4, 12) for _ in turns[1:]))

    says = "conversations of 8 turns, 4 to 12 s apart, over 5 system prompts of 512 tokens; up to 5k tokens at the end"
    return Workload("chat", says, ONE_GPU, session, filling=60, rising=60, patience=2)


def tenants() -> Workload:
    of_tenants = heads("tenant", ONE_GPU.block)

    def session(rng: random.Random, number: int) -> Session:
        return one_question(of_tenants(rng.randrange(150)), number, 6016, rng.randint(400, 800), rng.randint(50, 150))

    says = (
        "150 tenants with a system prompt of 6k tokens each, questions of 400 to 800 tokens; all prefixes together are \
4.5 times what one engine holds"
    )
    return Workload("tenants", says, ONE_GPU, session, filling=200, rising=10, patience=2)


def hot() -> Workload:
    only = heads("hot", ONE_GPU.block)

    def session(rng: random.Random, number: int) -> Session:
        return one_question(only(0), number, 6016, rng.randint(400, 800), rng.randint(50, 150))

    says = "one system prompt of 6k tokens that every question begins with"
    return Workload("hot", says, ONE_GPU, session, filling=60, rising=10, patience=2)


def little() -> Workload:
    few = heads("template", ONE_GPU.block)

    def session(rng: random.Random, number: int) -> Session:
        return one_question(few(rng.randrange(20)), number, 512, rng.randint(1000, 1920), rng.randint(50, 150))

    says = "prompts of 2k tokens of which the first 26 % are one of 20 beginnings, the rest is nobody else's"
    return Workload("little", says, ONE_GPU, session, filling=60, rising=30, patience=2)


def agents() -> Workload:
    kinds = heads("agent", EIGHT_GPUS.block)

    def session(rng: random.Random, number: int) -> Session:
        head = kinds(rng.randrange(4))
        turns, prompt = [], 12_288 + rng.randint(60_000, 120_000)
        for _ in range(12):
            answer = rng.randint(100, 500)
            turns.append((prompt, answer))
            prompt += answer + rng.randint(500, 2500)
        text = Text(f"agents-{number}", head.block, head, 12_288)
        return Session(text, head.name, head.name, tuple(turns), tuple(rng.uniform(3, 10) for _ in turns[1:]))

    says = (
        "agents of 4 kinds, each with 12k tokens of instructions and 60k to 120k of a repository; 12 steps, 3 to 10 s \
apart, each with 0.5k to 2.5k tokens more"
    )
    return Workload("agents", says, EIGHT_GPUS, session, filling=90, rising=80, patience=10)


WORKLOADS = (chat, tenants, hot, little, agents)
FITTED, HELD_OUT = (0, 1, 2, 3, 10, 11, 12, 13), (101, 102, 103)
"""Seeds: the rule of Nexus was chosen by looking at runs of the first ones alone, and reports are of the others."""
LOADS = {"below": 0.5, "at": 0.9, "above": 1.2}
"""Of saturation. `at` is as near as queues stay finite in a run that is no longer than this."""


@dataclass(frozen=True)
class Trace:
    questions: tuple[Question, ...]
    measured_from: float
    """Seconds. What is asked before counts for nothing."""
    seconds: float
    """That are measured."""


def trace(workload: Workload, load: float, questions: int, seed: int = 0) -> Trace:
    """With about so many that are measured. The same seed gives the same texts at every load."""
    rate = load * saturation(workload)
    seconds = questions / rate
    begin = workload.filling + workload.rising
    asked = sorted(_asked(workload, rate, begin + seconds, seed), key=lambda one: one.at)
    return Trace(tuple(one for one in asked if one.at < begin + seconds), begin, seconds)


@cache
def saturation(workload: Workload, engines: int = ENGINES) -> float:
    """Questions a second. By 200 sessions after 1,000 that filled an endless cache."""
    rng, seen = random.Random("saturation"), set[bytes]()
    prefill = writing = 0.0
    count = 0
    for number in range(1200):
        session = workload.session(rng, number)
        for prompt, answer in session.turns:
            question = Question(0, 0, session.text, prompt, answer, "", "", "")
            known = next((n for n, name in enumerate(question.chain) if name not in seen), len(question.chain))
            seen.update(question.read)
            if number >= 1000:
                prefill += workload.machine.pace.prefill_seconds(prompt - known * workload.machine.block)
                writing += answer / workload.machine.pace.total_rate
                count += 1
    return engines * count / max(prefill, writing)


def _asked(workload: Workload, rate: float, until: float, seed: int) -> Iterator[Question]:
    rng = random.Random(f"{workload.name}/{seed}")
    at, number, turns = 0.0, 0, len(workload.session(random.Random(0), 0).turns)
    while True:
        half = 0.5 if at < workload.filling else 1.0
        at += rng.expovariate(rate * half / turns)
        if at >= until:
            return
        yield from _of_session(workload.session(rng, number), at, rng)
        number += 1


def _of_session(session: Session, at: float, rng: random.Random) -> Iterator[Question]:
    """Each turn comes by any gateway: that is what a balancer before them does."""
    for (prompt, answer), pause in zip(session.turns, (0.0, *session.pauses), strict=True):
        at += pause
        yield Question(at, rng.random(), session.text, prompt, answer, session.tenant, session.head, session.text.name)


def by_name(names: Sequence[str]) -> list[Workload]:
    return [made() for made in WORKLOADS if made.__name__ in names]
