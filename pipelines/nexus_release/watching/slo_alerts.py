"""How fast each route burns its error budget: two windows at once, so that an alert is quick to ring and quick to end.

The method is of Google's SRE Workbook, chapter 5 ("Multiwindow, Multi-Burn-Rate Alerts"). Sums are of what is recorded
each minute, since three days of raw series are too much to read each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nexus_release.config import Settings
from nexus_release.watching.gateway_alerts import gateway_selector
from nexus_release.watching.revision import blaming
from nexus_release.watching.rules import Alert, Group, Place, Record, Rule, Severity

REQUESTS = "nexus:slo_{}_requests:rate5m"
ERRORS = "nexus:slo_{}_errors:rate5m"
RATIO = "nexus:slo_{}_errors:ratio_{}"
WORST = "nexus:slo_{}_worst_release:{}"
LEFT = "nexus:slo_{}_budget:left"
_EVERY = 60  # seconds; what a sum of rates is multiplied by to be a number of requests


@dataclass(frozen=True)
class Objective:
    word: str
    name: str
    least: float
    """Share that is promised."""
    broken: str
    """What an error is, after "of the requests"."""


@dataclass(frozen=True)
class Burn:
    long: str
    hours: int
    short: str
    budget: float
    """Share of the whole budget that is gone after the long window at this rate."""
    lasting: str
    severity: Severity


BURNS = (
    Burn("1h", 1, "5m", 0.02, "2m", "critical"),
    Burn("6h", 6, "30m", 0.05, "5m", "critical"),
    Burn("1d", 24, "2h", 0.1, "5m", "warning"),
    Burn("3d", 72, "6h", 0.1, "5m", "warning"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def slo_group(place: Place, settings: Settings) -> Group:
    rules: list[Rule] = [*_counts(gateway_selector(place), settings)]
    for objective in objectives(settings):
        rules += _shares(objective, place, settings)
        rules += (_alert(objective, burn, place, settings) for burn in BURNS)
    return Group("slo", "Objectives and error budgets", rules, every=f"{_EVERY}s")


def objectives(settings: Settings) -> tuple[Objective, Objective]:
    own = settings.alerting.objectives
    return (
        Objective("availability", "NexusAvailabilityBudgetBurns", own.availability, "ended with a status of 5xx"),
        Objective(
            "first_byte",
            "NexusFirstByteBudgetBurns",
            own.first_byte,
            f"had their first byte later than {own.first_byte_seconds:g} s",
        ),
    )


def factor(burn: Burn, window_days: int) -> float:
    """How many times as fast as allowed the budget goes."""
    return round(burn.budget * window_days * 24 / burn.hours, 4)


def _counts(gateway: str, settings: Settings) -> Iterator[Record]:
    by, le = "namespace, route, release", float(settings.alerting.objectives.first_byte_seconds)
    requests = f"rate(gateway_release_requests_total{{{gateway}}}[5m])"
    failed = f'rate(gateway_release_requests_total{{{gateway},status=~"5.."}}[5m])'
    answers = f"rate(gateway_time_to_first_byte_seconds_count{{{gateway}}}[5m])"
    early = f'rate(gateway_time_to_first_byte_seconds_bucket{{{gateway},le="{le}"}}[5m])'
    yield Record(REQUESTS.format("availability"), f"sum by ({by}) ({requests})", "Requests a second of each release.")
    yield Record(
        ERRORS.format("availability"),
        f"sum by ({by}) ({failed}) or sum by ({by}) ({requests}) * 0",
        "Those of them that ended with a status of 5xx.",
    )
    yield Record(REQUESTS.format("first_byte"), f"sum by ({by}) ({answers})", "Answers a second of each release.")
    yield Record(
        ERRORS.format("first_byte"),
        f"sum by ({by}) ({answers}) - sum by ({by}) ({early})",
        "Those of them whose first byte came later than promised.",
    )


def _shares(objective: Objective, place: Place, settings: Settings) -> Iterator[Record]:
    days = settings.alerting.objectives.window_days
    for window in WINDOWS:
        yield Record(
            RATIO.format(objective.word, window),
            _ratio(objective, place, window),
            f"Share of each route's last {window} that {objective.broken}.",
        )
    for burn in BURNS:
        errors = f"{ERRORS.format(objective.word)}{{{place.selector}}}[{burn.long}]"
        yield Record(
            WORST.format(objective.word, burn.long),
            f"topk by (namespace, route) (1, sum_over_time({errors})) ^ 0",
            f"1, with the release of each route that had most of these errors in the last {burn.long}.",
        )
    yield Record(
        LEFT.format(objective.word),
        f"1 - {_ratio(objective, place, f'{days}d')} / {_allowed(objective):g}",
        f"Share of each route's error budget of {days} days that is left; below 0 it is spent.",
    )


def _alert(objective: Objective, burn: Burn, place: Place, settings: Settings) -> Alert:
    own = settings.alerting.objectives
    most = f"{factor(burn, own.window_days):g} * {_allowed(objective):g}"
    long, short = (f"{RATIO.format(objective.word, one)}{{{place.selector}}}" for one in (burn.long, burn.short))
    requests = f"sum_over_time({REQUESTS.format(objective.word)}{{{place.selector}}}[{burn.long}])"
    enough = f"sum by (namespace, route) ({requests}) * {_EVERY} >= {own.least_requests}"
    worst = f"{WORST.format(objective.word, burn.long)}{{{place.selector}}}"
    burning = f"({long} > {most} and {short} > {most} and {enough})"
    return Alert(
        objective.name,
        blaming(f"{burning} * on (namespace, route) group_right () {worst}", place),
        burn.lasting,
        burn.severity,
        f"{{{{ $labels.route }}}} burns its error budget {factor(burn, own.window_days):g} times as fast as it may in"
        " {{ $labels.environment }}.",
        f"Of at least {own.least_requests} requests of a route in the last {burn.long}, and of those in the last "
        f"{burn.short}, more than {factor(burn, own.window_days):g} times the {_allowed(objective):.4g} that may "
        f"{objective.broken}; the release named had most of these.",
        ("route", "release", "revision"),
        labels={"window": burn.long},
    )


def _allowed(objective: Objective) -> float:
    return round(1 - objective.least, 9)


def _ratio(objective: Objective, place: Place, window: str) -> str:
    errors, requests = (
        f"sum by (namespace, route) (sum_over_time({name.format(objective.word)}{{{place.selector}}}[{window}]))"
        for name in (ERRORS, REQUESTS)
    )
    return f"{errors} / {requests}"
