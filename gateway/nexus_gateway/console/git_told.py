"""Releases, canaries and prices of a checkout, as the page asks for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from nexus_gateway.config_errors import first_error
from nexus_gateway.console.canary_section import CanarySection
from nexus_gateway.console.checkout import Checkout, Unreadable
from nexus_gateway.console.evidence_file import EvidenceFile
from nexus_gateway.console.plan_file import PlanFile
from nexus_gateway.console.prices import prices_of
from nexus_gateway.console.record_file import RecordFile


def releases_told(checkout: Checkout) -> dict[str, Any]:
    """Without figures: those are with the release itself. Raises Unreadable."""
    places = _places(checkout.plans())
    found = [_summary(name, record) | {"places": places.get(name, [])} for name, record in checkout.releases()]
    return _about(checkout) | {"releases": found}


def release_told(checkout: Checkout, name: str) -> dict[str, Any] | None:
    """None where no record has that id. Raises Unreadable."""
    record = checkout.release(name)
    if record is None:
        return None
    gates = [gate.model_dump() for gate in record.content.gates]
    return _summary(name, record) | {"places": _places(checkout.plans()).get(name, []), "gates": gates}


def canaries_told(checkout: Checkout) -> dict[str, Any]:
    """Of the gateway's own environment, with the steps that its settings declare. Raises Unreadable."""
    steps = _declared(checkout).model_dump()
    plans = [plan for environment, plan in checkout.plans() if environment == checkout.environment]
    return _about(checkout) | steps | {"canaries": [_canary(checkout, plan) for plan in plans if plan.canary]}


def prices_told(checkout: Checkout) -> dict[str, Any]:
    """Raises Unreadable."""
    prices = prices_of(checkout)
    if prices is None:
        return _about(checkout) | {"prices": None}
    weights = {name: str(weight) for name, weight in prices.token_weights.items()}
    told = {"currency": prices.currency, "place_hour": _plain(prices.place_hour), "token_weights": weights}
    return _about(checkout) | {"prices": told}


def _about(checkout: Checkout) -> dict[str, Any]:
    return {"problem": checkout.problem, "environment": checkout.environment or None}


def _plain(amount: Decimal) -> str:
    return f"{amount:.9f}"


def _summary(name: str, record: RecordFile) -> dict[str, Any]:
    content, observed = record.content, record.observed
    return {
        "release": name,
        "model": content.model,
        "time": observed.time,
        "dataset": content.dataset.model_dump(),
        "base": content.base,
        "base_source": content.base_source,
        "artifact": content.artifact.model_dump(),
        "recipe": content.recipe,
        "registry": observed.registry_uri,
        "commit": observed.commit,
        "accepted": all(gate.accepted for gate in content.gates),
        "verdicts": {gate.gate: gate.accepted for gate in content.gates},
    }


def _places(plans: list[tuple[str, PlanFile]]) -> dict[str, list[dict[str, Any]]]:
    """Release -> what it is in which environment."""
    found: dict[str, list[dict[str, Any]]] = {}
    for environment, plan in plans:
        for release, role, weight in plan.roles():
            place = {"environment": environment, "role": role, "weight": weight}
            found.setdefault(release, []).append(place)
    return found


def _declared(checkout: Checkout) -> CanarySection:
    try:
        return CanarySection.model_validate(checkout.settings("canary"))
    except ValidationError as error:
        raise Unreadable(f"environments/{checkout.environment}: canary.{first_error(error)}") from None


def _canary(checkout: Checkout, plan: PlanFile) -> dict[str, Any]:
    assert plan.canary is not None  # noqa: S101 - narrows for mypy; plans without one are left out before
    evidence = checkout.evidence(plan.model, plan.stable.release, plan.canary.release)
    return {
        "model": plan.model,
        "stable": plan.stable.release,
        "canary": plan.canary.release,
        "weight": plan.canary.weight,
        "evidence": [_step(digest, one) for digest, one in evidence],
    }


def _step(digest: str, evidence: EvidenceFile) -> dict[str, Any]:
    arms = ("stable", "canary")
    counted = {arm: [getattr(block, arm) for block in evidence.blocks] for arm in arms}
    return {
        "digest": digest,
        "since": evidence.moments.since,
        "until": evidence.moments.until,
        "weight": evidence.weight,
        "decision": evidence.decision.model_dump(),
        "tests": [test.model_dump() for test in evidence.tests],
        "requests": {arm: sum(one.requests for one in counted[arm]) for arm in arms},
        "errors": {arm: sum(one.errors for one in counted[arm]) for arm in arms},
    }
