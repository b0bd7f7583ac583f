"""What an environment costs, as Prometheus records it by the hour: rules, and alerts of its budgets.

By the moment and at today's prices; what a month has cost, with what was idle, is told by `nexus cost`.
"""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.config import Settings
from nexus_release.costs.queries import CPU, GPU, MEMORY, POD, held_by_engines
from nexus_release.manifests.objects import Object, made
from nexus_release.names import model_slug
from nexus_release.prices import HOURS_A_MONTH

COSTS = "nexus-costs"
BY_RELEASE, BY_ENVIRONMENT, BY_TENANT = (f"nexus:{what}_cost_hourly" for what in ("release", "environment", "tenant"))
WORK = "nexus:tenant_work:rate1h"
"""Weighted tokens a second, by tenant and release: what tenants share a release's cost by."""
_MARK = "id8"  # the release's first 8 digits, with which its InferenceService's name ends
_LASTING = "1h"  # a canary runs beside its stable for a while, and is no news


def cost_watch(settings: Settings) -> dict[str, Object]:
    """{file: object}."""
    objects: dict[str, Object] = {}
    if settings.gateway.watching.operator:
        objects["prometheusrule.yaml"] = made(
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            COSTS,
            settings.namespace,
            app=COSTS,
            marks=settings.gateway.watching.labels,
            spec={
                "groups": [
                    {"name": f"{COSTS}.{settings.namespace}", "rules": [*_records(settings), *_alerts(settings)]}
                ]
            },
        )
    return objects


def _records(settings: Settings) -> Iterator[Object]:
    here = f'namespace="{settings.namespace}"'
    yield {"record": BY_RELEASE, "expr": _by_release(settings)}
    yield {"record": BY_ENVIRONMENT, "expr": f"sum by (namespace) ({BY_RELEASE}{{{here}}})"}
    yield {"record": WORK, "expr": _work(settings)}
    work = f"{WORK}{{{here}}}"
    marked = f'label_replace({BY_RELEASE}{{{here}}}, "{_MARK}", "$1", "service", ".+-(.{{8}})")'
    cost = f"sum by (namespace, {_MARK}) ({marked})"
    share = f"{work} / on (namespace, {_MARK}) group_left () (sum by (namespace, {_MARK}) ({work}) > 0)"
    yield {
        "record": BY_TENANT,
        "expr": f"sum by (namespace, tenant) ({share} * on (namespace, {_MARK}) group_left () {cost})",
    }


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


def _alerts(settings: Settings) -> Iterator[Object]:
    budgets, here = settings.prices.budgets, f'namespace="{settings.namespace}"'
    if budgets.environment is not None:
        yield _alert("NexusEnvironmentOverBudget", f"{BY_ENVIRONMENT}{{{here}}}", budgets.environment, settings, "")
    for model, budget in sorted(budgets.models.items()):
        services = f'{here},service=~"{model_slug(model)}-[0-9a-f]{{8}}"'
        spent = f"sum by (namespace) ({BY_RELEASE}{{{services}}})"
        yield _alert("NexusModelOverBudget", spent, budget, settings, model)


def _alert(name: str, hourly: str, budget: str, settings: Settings, model: str) -> Object:
    whose = f"The releases of {model}" if model else "All releases together"
    return {
        "alert": name,
        "expr": f"{hourly} * {HOURS_A_MONTH} > {budget}",
        "for": _LASTING,
        "labels": {"severity": "warning", **({"model": model} if model else {})},
        "annotations": {
            "summary": f"{whose} hold what costs more than {budget} {settings.prices.currency} in a month: see which "
            f"by {BY_RELEASE}, and for whom by `nexus cost`."
        },
    }
