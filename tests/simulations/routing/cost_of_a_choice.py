"""What one choice costs a gateway's CPU; by this machine's clock, unlike all else here."""

from __future__ import annotations

import time

from .engines import Engine
from .gateways import Seen, Strategy
from .workloads import tenants, trace


def choices(strategy: Strategy, endpoints: int, decisions: int) -> float:
    """Microseconds, as the mean of so many after as many that warmed it; the body's parsing and hashing not counted,
    as every strategy that looks at prompts does that."""
    asked = trace(tenants(), 0.5, 2 * decisions).questions[: 2 * decisions]
    seen = [Seen(Engine(f"http://engine-{number}:8000", tenants().machine), 0.0) for number in range(endpoints)]
    for one in asked:
        one.text.blocks(one.prompt)
    spent = 0.0
    for number, question in enumerate(asked):
        begin = time.process_time()
        chosen = strategy.choose(question, seen, question.at)
        spent += (time.process_time() - begin) if number >= decisions else 0.0
        strategy.begun(question, chosen, 0)
        strategy.ended(question, chosen)
    return spent / decisions * 1e6
