"""Which rules differ between two tables, and whom that concerns: no decision log shows it, since it has no callers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nexus_gateway.auth import bearer_of
from nexus_gateway.keys import Key
from nexus_gateway.policy import Caller, caller_of
from nexus_gateway.routes import Table
from nexus_gateway.routes_file import PolicyFile
from nexus_gateway.tokens.claims import Claims


@dataclass(frozen=True)
class ChangedRule:
    name: str
    """As `routes.chat`."""
    change: str
    """`added`, `removed` or `changed`."""


@dataclass(frozen=True)
class ChangedPolicy(ChangedRule):
    fields: tuple[tuple[str, str, str], ...]
    """(field, before, after)."""
    gains: tuple[str, ...]
    """Models that its callers may use from then on."""
    loses: tuple[str, ...]


def changed_rules(old: Table, new: Table) -> list[ChangedRule]:
    """Routes, upstreams and the default."""
    defaults = [{"default": table.default} if table.default else {} for table in (old, new)]
    return [
        *_changed("routes.", old.routes, new.routes),
        *_changed("upstreams.", old.upstreams, new.upstreams),
        *_changed("", *defaults),
    ]


def changed_policies(old: Table, new: Table) -> list[ChangedPolicy]:
    return [
        *(_policy(one, Key(name, None, admin=False), old, new)
          for one in _changed("policies.", old.policies, new.policies)
          for name in [one.name.removeprefix("policies.")]),
        *(_policy(one, bearer_of(Claims(name, None, math.inf)), old, new)
          for one in _changed("subjects.", old.subjects, new.subjects)
          for name in [one.name.removeprefix("subjects.")]),
    ]  # fmt: skip


def _changed(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[ChangedRule]:
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield ChangedRule(f"{section}{name}", "added" if name in new else "removed")
        elif old[name] != new[name]:
            yield ChangedRule(f"{section}{name}", "changed")


def _policy(one: ChangedRule, key: Key, old: Table, new: Table) -> ChangedPolicy:
    """For a key, or a token, that names no models of its own."""
    before, after = caller_of(key, old), caller_of(key, new)
    pairs = [(name, getattr(before.policy, name), getattr(after.policy, name)) for name in PolicyFile.model_fields]
    fields = tuple((name, _shown(was), _shown(becomes)) for name, was, becomes in pairs if was != becomes)
    models = _models(old) | _models(new)
    may, may_then = _usable(before, models), _usable(after, models)
    return ChangedPolicy(one.name, one.change, fields, tuple(sorted(may_then - may)), tuple(sorted(may - may_then)))


def _usable(caller: Caller, models: set[str]) -> set[str]:
    return {model for model in models if caller.may_use(model)}


def _models(table: Table) -> set[str]:
    policies = (*table.policies.values(), *table.subjects.values())
    return {*table.routes, *(name for policy in policies for name in policy.models or ())}


def _shown(value: object) -> str:
    if value is None:
        return "nothing said"
    if isinstance(value, BaseModel):
        return value.model_dump_json(exclude_defaults=True)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
