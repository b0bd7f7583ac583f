"""What was paid for each release, for whom, and what nobody has used.

A slot's cost goes to those whose tokens the release made in it, by their weighted number; in a slot without a token it
is idle. So of two tenants who share a pod each pays for what is made for it, and a pod that waits is seen as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

from nexus_release.config import Settings
from nexus_release.costs.sharing import QUANTUM, rounded, shared
from nexus_release.costs.usage import Held, Made, Usage
from nexus_release.frozen import Frozen
from nexus_release.monitoring.windows import Window
from nexus_release.prices import TokenWeights

_NOTHING = Decimal(0) * QUANTUM
IDLE = ""
"""Beside tenants' names, none of which is empty."""


class TenantCost(Frozen):
    tenant: str
    cost: Decimal
    prompt: int
    cached: int
    """Of the prompt's."""
    completion: int
    per_1k_tokens: Decimal | None
    """Of prompt and completion together; null where there was none."""


class ReleaseCost(Frozen):
    model: str
    release: str
    gpu_hours: Decimal
    allocated: Decimal
    idle: Decimal
    tenants: tuple[TenantCost, ...]


class CostReport(Frozen):
    environment: str
    currency: str
    window: Window
    slot_minutes: int
    sources: tuple[str, ...]
    weights: TokenWeights
    allocated: Decimal
    idle: Decimal
    releases: tuple[ReleaseCost, ...]
    """Sorted by model, then by release."""
    tenants: tuple[TenantCost, ...]
    """Of all releases together, by name."""


def report(environment: str, settings: Settings, window: Window, slot_minutes: int, usage: Usage) -> CostReport:
    """For every release and for all: the tenants' costs and the idle one are the allocated one, to the last digit."""
    by_release: dict[tuple[str, str], list[Held]] = defaultdict(list)
    for held in usage.held:
        by_release[held.model, held.release].append(held)
    made = _by_slot(usage.made)
    releases = tuple(_release(name, by_release[name], made, settings) for name in sorted(by_release))
    return CostReport(
        environment=environment,
        currency=settings.prices.currency,
        window=window,
        slot_minutes=slot_minutes,
        sources=usage.sources,
        weights=settings.prices.token_weights,
        allocated=_sum(one.allocated for one in releases),
        idle=_sum(one.idle for one in releases),
        releases=releases,
        tenants=_together(one for release in releases for one in release.tenants),
    )


def _by_slot(made: Iterable[Made]) -> Mapping[tuple[str, int], list[Made]]:
    found: dict[tuple[str, int], list[Made]] = defaultdict(list)
    for one in made:
        found[one.release, one.slot].append(one)
    return found


def _release(
    name: tuple[str, str], held: list[Held], made: Mapping[tuple[str, int], list[Made]], settings: Settings
) -> ReleaseCost:
    parts = _parts(held, name[1], made, settings)
    tokens = _tokens(name[1], made)
    allocated = rounded(sum(parts.values(), Fraction()))
    given = shared(allocated, parts) if allocated else {}
    return ReleaseCost(
        model=name[0],
        release=name[1],
        gpu_hours=rounded(sum((one.gpu_hours for one in held), Fraction())),
        allocated=allocated,
        idle=given.get(IDLE, _NOTHING),
        tenants=tuple(_tenant(tenant, given.get(tenant, _NOTHING), *tokens[tenant]) for tenant in sorted(tokens)),
    )


def _parts(
    held: list[Held], release: str, made: Mapping[tuple[str, int], list[Made]], settings: Settings
) -> dict[str, Fraction]:
    """Tenant, or IDLE -> exact cost."""
    parts: dict[str, Fraction] = defaultdict(Fraction)
    for one in held:
        cost = _cost(one, settings)
        users = made.get((release, one.slot), [])
        weights = [(user.tenant, _weight(user, settings.prices.token_weights)) for user in users]
        whole = sum(weight for _, weight in weights)
        if not whole:
            parts[IDLE] += cost
        for tenant, weight in weights if whole else ():
            parts[tenant] += cost * weight / whole
    return parts


def _tokens(release: str, made: Mapping[tuple[str, int], list[Made]]) -> dict[str, list[int]]:
    """Tenant -> prompt, cached and completion tokens of the whole window."""
    tokens: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (of, _), users in made.items():
        for user in users if of == release else ():
            told = tokens[user.tenant]
            for place, count in enumerate((user.prompt, user.cached, user.completion)):
                told[place] += count
    return tokens


def _cost(held: Held, settings: Settings) -> Fraction:
    prices = settings.prices
    gpu = Fraction(prices.gpu_hour[settings.gpu.model]) if settings.gpu.enabled else Fraction()
    of_cores = held.core_hours * Fraction(prices.cpu_core_hour)
    return held.gpu_hours * gpu + of_cores + held.gib_hours * Fraction(prices.memory_gib_hour)


def _weight(made: Made, weights: TokenWeights) -> Fraction:
    fresh = max(0, made.prompt - made.cached) * Fraction(weights.prompt)
    return fresh + made.cached * Fraction(weights.cached) + made.completion * Fraction(weights.completion)


def _tenant(tenant: str, cost: Decimal, prompt: int, cached: int, completion: int) -> TenantCost:
    tokens = prompt + completion
    each = rounded(Fraction(cost) * 1000 / tokens) if tokens else None
    return TenantCost(tenant=tenant, cost=cost, prompt=prompt, cached=cached, completion=completion, per_1k_tokens=each)


def _together(found: Iterable[TenantCost]) -> tuple[TenantCost, ...]:
    by_name: dict[str, list[TenantCost]] = defaultdict(list)
    for one in found:
        by_name[one.tenant].append(one)
    return tuple(
        _tenant(
            tenant,
            _sum(one.cost for one in costs),
            sum(one.prompt for one in costs),
            sum(one.cached for one in costs),
            sum(one.completion for one in costs),
        )
        for tenant, costs in sorted(by_name.items())
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, _NOTHING)
