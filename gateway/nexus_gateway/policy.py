"""What a caller may ask for: the key's own models, and the policy that the routes give to its id."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nexus_gateway.asked import Asked, bounded, field_names
from nexus_gateway.errors import (
    FIELD_NOT_ALLOWED,
    MODEL_NOT_ALLOWED,
    MODEL_NOT_FOUND,
    TOO_MANY_TOKENS,
    Refusal,
)
from nexus_gateway.keys import Key
from nexus_gateway.limits.windows import NO_LIMITS, Limits
from nexus_gateway.routes import Table
from nexus_gateway.routes_file import EVERY_SUBJECT, PolicyFile
from nexus_gateway.routing import Route
from nexus_gateway.surfaces import Surface

UNLIMITED = PolicyFile()
OTHERS = "other"
"""What figures call every caller whom the routes do not name: how many figures there are follows from the routes."""


@dataclass(frozen=True, slots=True)
class Caller:
    key: Key
    policy: PolicyFile
    tenant: str = OTHERS
    """As figures have it: who the routes name, by `policies` or `subjects`."""
    limits: Limits = NO_LIMITS
    """Of the policy."""

    def may_use(self, model: str) -> bool:
        named = self.policy.models is None or model in self.policy.models
        return named and (self.key.models is None or model in self.key.models)


def caller_of(key: Key, table: Table) -> Caller:
    """A token that names no models may use those of its subject's policy; where there is no policy either, none."""
    section, name = place_of(key, table)
    if not name:
        return Caller(replace(key, models=key.models or frozenset()) if key.subject else key, UNLIMITED)
    if section == "policies":
        return _held_to(key, table.policies[name], name)
    return _held_to(key, table.subjects[name], OTHERS if name == EVERY_SUBJECT else name)


def _held_to(key: Key, policy: PolicyFile, tenant: str) -> Caller:
    limits = Limits(policy.requests_per_minute, policy.tokens_per_minute, policy.max_parallel)
    return Caller(key, policy, tenant, limits)


def place_of(key: Key, table: Table) -> tuple[str, str]:
    """Section of the routes, and the name in it of the policy that holds for the key; empty where none does."""
    if not key.subject:
        return "policies", key.owner if key.owner in table.policies else ""
    return "subjects", next((name for name in (key.subject, EVERY_SUBJECT) if name in table.subjects), "")


def route_for(caller: Caller, model: str, table: Table) -> Route:
    """Raises Refusal. What a key may not use is told apart from what there is not only by those who may."""
    if not caller.may_use(model):
        raise Refusal(MODEL_NOT_ALLOWED, "this key's policy does not name that model")
    route = table.route(model)
    if route is None:
        raise Refusal(MODEL_NOT_FOUND, "no route has that model's name; /v1/models lists those that this key may use")
    return route


def hold_to(policy: PolicyFile, surface: Surface, asked: Asked, body: bytes) -> bytes:
    """The body as it may go on. Raises Refusal; a request that does not say how long its answer may be gets the
    policy's bound, since an engine's own default may be larger."""
    if policy.passthrough is not None:
        known = frozenset(policy.passthrough)
        strange = [name for name in field_names(body) if name not in surface.fields | known]
        if strange:
            raise Refusal(FIELD_NOT_ALLOWED, f"{strange[0][:64]}: this key's policy does not pass that field on")
    if policy.max_tokens is None or not surface.bounds:
        return body
    longest = asked.longest(surface)
    if longest is None:
        return bounded(body, surface.bounds, policy.max_tokens)
    if longest > policy.max_tokens:
        raise Refusal(TOO_MANY_TOKENS, f"{surface.bounds[0]}: {longest} is above this key's {policy.max_tokens}")
    return body
