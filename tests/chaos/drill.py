"""One scenario: wait for calm, strike, wait until all that is expected was seen, mend, wait for calm again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .callers import CALLERS, Told, calling
from .faults import FAULTS
from .scenario import PLAIN, Scenario
from .stack import Stack

HOLD_SECONDS = 11.0
"""For which a fault holds at least, so that what must not happen has its time: every alert's wait is shorter."""
BUSY = {"NexusLoopLag", "NexusGatewayDown"}
"""May ring wherever the machine is busy for three seconds: their times are a fortieth here."""
_CALM_ANSWERS = 3
_PAUSE = 0.2


@dataclass
class Seen:
    """Of a scenario. Seconds count from when its fault struck, or was mended."""

    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of each caller, those that were asked and answered while the fault held."""
    slowest: dict[str, float] = field(default_factory=dict)
    quickest: dict[str, float] = field(default_factory=dict)
    """Of good answers."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Query -> when it first gave something."""
    alerts: dict[str, float] = field(default_factory=dict)
    """Alert -> when it first rang."""
    calm: float | None = None
    """When all was as before; None where it did not come."""


def drill(stack: Stack, scenario: Scenario, patience: float) -> Seen:
    """`patience`: seconds until what has not been seen counts as not to come. Raises RuntimeError where there is no
    calm to begin with."""
    seen = Seen()
    with calling(stack.gateway.url) as told:
        if _calm(stack, told, scenario, patience) is None:
            raise RuntimeError(f"no calm before: {_last(told)}, {sorted(stack.ringing())} ring")
        with FAULTS[scenario.strike](stack):
            struck = time.monotonic()
            _watch(stack, scenario, seen, told, struck, patience)
            mended = time.monotonic()
            _count(seen, [one for one in told if one.asked >= struck and one.ended <= mended])
        seen.calm = _calm(stack, told, scenario, patience)
    return seen


def broken(scenario: Scenario, seen: Seen) -> list[str]:
    """What is not as it was expected."""
    found = []
    for caller in CALLERS:
        wanted, answers = scenario.of(caller), seen.answers.get(caller, {})
        found += [f"{caller}: never got {one}" for one in wanted.answers if one not in answers]
        allowed = {*wanted.answers, *wanted.also}
        found += [f"{caller}: got {one}, {count} times" for one, count in sorted(answers.items()) if one not in allowed]
        if (slowest := seen.slowest.get(caller, 0.0)) > wanted.within_seconds:
            found.append(f"{caller}: waited for {slowest:.1f} s, at most {wanted.within_seconds:g}")
        if seen.quickest.get(caller, wanted.at_least_seconds) < wanted.at_least_seconds:
            found.append(f"{caller}: was answered after {seen.quickest[caller]:.2f} s, at least "
                         f"{wanted.at_least_seconds:g}: the fault did not strike")  # fmt: skip
    found += [f"metrics: never {query}" for query in scenario.metrics if query not in seen.metrics]
    found += [f"alerts: {name} did not ring" for name in scenario.alerts if name not in seen.alerts]
    found += [
        f"alerts: {name} rang" for name in sorted(seen.alerts.keys() - {*scenario.alerts, *scenario.may_ring} - BUSY)
    ]
    return found if seen.calm is not None else [*found, "recovery: it was not as before in time"]


def _watch(stack: Stack, scenario: Scenario, seen: Seen, told: Sequence[Told], struck: float, patience: float) -> None:
    """Until everything that is expected was seen, and HOLD_SECONDS at least."""
    while (now := time.monotonic() - struck) < patience:
        for query in scenario.metrics:
            if query not in seen.metrics and stack.prometheus.query(query):
                seen.metrics[query] = now
        for name in stack.ringing():
            seen.alerts.setdefault(name, now)
        answered = {(one.caller, one.answer) for one in list(told) if one.asked >= struck}
        wanted = {(caller, answer) for caller in CALLERS for answer in scenario.of(caller).answers}
        all_seen = wanted <= answered and {*scenario.metrics} <= seen.metrics.keys()
        if now >= HOLD_SECONDS and all_seen and {*scenario.alerts} <= seen.alerts.keys():
            return
        time.sleep(_PAUSE)


def _calm(stack: Stack, told: Sequence[Told], scenario: Scenario, patience: float) -> float | None:
    """Seconds until every caller's last answers are plain, no alert rings and the metrics are as after a fault."""
    began = time.monotonic()

    def holds() -> bool:
        recent = [one for one in list(told) if one.asked >= began]
        last = [[one.answer for one in recent if one.caller == caller][-_CALM_ANSWERS:] for caller in CALLERS]
        plain = all(answers == [PLAIN] * _CALM_ANSWERS for answers in last)
        return plain and not stack.ringing() - BUSY and all(stack.prometheus.query(one) for one in scenario.after)

    return _until(holds, began, patience)


def _until(holds: Callable[[], bool], began: float, patience: float) -> float | None:
    while not holds():
        if time.monotonic() - began > patience:
            return None
        time.sleep(_PAUSE)
    return time.monotonic() - began


def _count(seen: Seen, told: Sequence[Told]) -> None:
    for caller in CALLERS:
        own = [one for one in told if one.caller == caller]
        good = [one.seconds for one in own if one.answer == PLAIN]
        seen.answers[caller] = dict(Counter(one.answer for one in own))
        seen.slowest[caller] = max((one.seconds for one in own), default=0.0)
        if good:
            seen.quickest[caller] = min(good)


def _last(told: Sequence[Told]) -> dict[str, str]:
    return {one.caller: one.answer for one in list(told)}
