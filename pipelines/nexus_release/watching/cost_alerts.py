"""What an environment costs by the hour, as Prometheus records it, and whether a month of that is within its budget.

By the moment and at today's prices; what a month has cost, with what was idle, is told by `nexus cost`.
"""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.config import Settings
from nexus_release.costs.queries import CPU, GPU, MEMORY, POD, held_by_engines
from nexus_release.names import model_slug
from nexus_release.prices import HOURS_A_MONTH
from nexus_release.watching.rules import Alert, Group, Place, Record, Rule

BY_RELEASE, BY_ENVIRONMENT, BY_TENANT = (f"nexus:{what}_cost_hourly" for what in ("release", "environment", "tenant"))
BUDGET, MODEL_BUDGET = "nexus:environment_budget_monthly", "nexus:model_budget_monthly"
WORK = "nexus:tenant_work:rate1h"
"""Weighted tokens a second, by tenant and release: what tenants share a release's cost by."""
_MARK = "id8"  # the release's first 8 digits, with which its InferenceService's name ends
_LASTING = "1h"  # a canary runs beside its stable for a while, and is no news


def cost_group(place: Place, settings: Settings) -> Group:
    rules: tuple[Rule, ...] = (*_records(place, settings), *_budgets(place, settings), *_alerts(place, settings))
    return Group("costs", "Costs", rules, every="1m")


def _records(place: Place, settings: Settings) -> Iterator[Record]:
    here = place.selector
    yield Record(BY_RELEASE, _by_release(settings), "What each InferenceService holds now costs so much an hour.")
    yield Record(BY_ENVIRONMENT, f"sum by (namespace) ({BY_RELEASE}{{{here}}})", "All of them together.")
    yield Record(WORK, _work(settings), "Weighted tokens a second, by tenant and release.")
    work = f"{WORK}{{{here}}}"
    marked = f'label_replace({BY_RELEASE}{{{here}}}, "{_MARK}", "$1", "service", ".+-(.{{8}})")'
    cost = f"sum by (namespace, {_MARK}) ({marked})"
    share = f"{work} / on (namespace, {_MARK}) group_left () (sum by (namespace, {_MARK}) ({work}) > 0)"
    yield Record(
        BY_TENANT,
        f"sum by (namespace, tenant) ({share} * on (namespace, {_MARK}) group_left () {cost})",
        "What each tenant's share of the work costs an hour.",
    )


def _budgets(place: Place, settings: Settings) -> Iterator[Record]:
    """As series, so that the alerts are the same in every environment, and a dashboard can show them."""
    budgets, here = settings.prices.budgets, {"namespace": place.namespace}
    if budgets.environment is not None:
        yield Record(BUDGET, f"vector({budgets.environment})", "What may be spent in a month.", here)
    for model, budget in sorted(budgets.models.items()):
        labels = {**here, "model": model, "slug": model_slug(model)}
        yield Record(MODEL_BUDGET, f"vector({budget})", f"What {model} may cost in a month.", labels)


def _by_release(settings: Settings) -> str:
    """What is held now, each resource at its price; an InferenceService stands for its release."""
    prices, here = settings.prices, settings.namespace
    parts = [
        f"({held_by_engines(here, CPU)}) * {prices.cpu_core_hour}",
        f"({held_by_engines(here, MEMORY)}) / {1 << 30} * {prices.memory_gib_hour}",
    ]
    if settings.gpu.enabled:
        parts.insert(0, f"({held_by_engines(here, GPU)}) * {prices.gpu_hour[settings.gpu.model]}")
    return f'sum by (namespace, service) (label_replace({" or ".join(parts)}, "service", "$1", "pod", "{POD}"))'


def _work(settings: Settings) -> str:
    """Cached tokens are among the prompt's, so they take back the difference."""
    weights = settings.prices.token_weights
    of = {
        "prompt": weights.prompt,
        "cached": f"({weights.cached} - {weights.prompt})",
        "completion": weights.completion,
    }
    parts = (
        f'rate(gateway_tenant_tokens_total{{kind="{kind}",namespace="{settings.namespace}"}}[1h]) * {weight}'
        for kind, weight in of.items()
    )
    marked = f'label_replace({" or ".join(parts)}, "{_MARK}", "$1", "release", "(.{{8}}).*")'
    return f"sum by (namespace, tenant, {_MARK}) ({marked})"


def _alerts(place: Place, settings: Settings) -> Iterator[Alert]:
    here, currency = place.selector, settings.prices.currency
    month = f"is held now costs more than its budget of a month, were it held for {HOURS_A_MONTH} hours, and has for an"
    where = f"see which by {BY_RELEASE}, and for whom by `nexus cost`"
    yield Alert(
        "NexusEnvironmentOverBudget",
        f"{BY_ENVIRONMENT}{{{here}}} * {HOURS_A_MONTH} > on (namespace) {BUDGET}{{{here}}}",
        _LASTING,
        "warning",
        f'{{{{ $labels.environment }}}} costs {{{{ $value | printf "%.0f" }}}} {currency} in a month, as it is now.',
        f"What {month} hour: {where}.",
    )
    slug = f'label_replace({BY_RELEASE}{{{here}}}, "slug", "$1", "service", "(.+)-[0-9a-f]{{8}}")'
    yield Alert(
        "NexusModelOverBudget",
        f"sum by (namespace, model) (sum by (namespace, slug) ({slug}) * {HOURS_A_MONTH}"
        f" > on (namespace, slug) group_right () {MODEL_BUDGET}{{{here}}})",
        _LASTING,
        "warning",
        f'{{{{ $labels.model }}}} costs {{{{ $value | printf "%.0f" }}}} {currency} in a month, as it is now.',
        f"What of a model's releases {month} hour: {where}.",
        ("model",),
    )
