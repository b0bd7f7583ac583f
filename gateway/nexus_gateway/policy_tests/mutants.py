"""Routes with one rule broken: what a policy test is for is to find it.

A mutant is made in the files' text and loaded as the gateway loads them. Not broken are deadlines, tries, health
checks, TLS, telemetry and where an engine is: they do not say who may ask whom for what.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.masking.patterns import KINDS
from nexus_gateway.policy_tests.reach import NOBODY_S
from nexus_gateway.routes import Table
from nexus_gateway.snapshot import Snapshot, build
from nexus_gateway.strict_yaml import parse_yaml

Document = dict[str, Any]
Edit = Callable[[Document], None]
"""Changes a policy, a route or a whole section in place."""
Kind = Literal["policies", "routes"]
_LIMITS = ("requests_per_minute", "tokens_per_minute", "max_parallel", "max_tokens")
_STEP = 10
"""Points that a weight is moved by."""


@dataclass(frozen=True)
class Mutant:
    name: str
    """The rule, and what was done to it."""
    table: Table


@dataclass(frozen=True)
class _Idea:
    name: str
    file: str
    edit: Edit


def mutants(snapshot: Snapshot, kinds: tuple[Kind, ...]) -> Iterator[Mutant]:
    """Those that the gateway would load, and that mean something else than the routes themselves."""
    documents = {name: parse_yaml(name, data) or {} for name, data in snapshot.files.items()}
    for idea in _ideas(documents, kinds):
        changed = deepcopy(documents[idea.file])
        idea.edit(changed)
        files = {**snapshot.files, idea.file: json.dumps(changed).encode()}
        try:
            table = build(files, {}, 10.0, None, snapshot).table
        except ConfigRefused:
            continue
        if table != snapshot.table:
            yield Mutant(idea.name, table)


def _ideas(documents: Mapping[str, Document], kinds: tuple[Kind, ...]) -> Iterator[_Idea]:
    models = sorted(name for document in documents.values() for name in document.get("routes", {}))
    upstreams = sorted(name for document in documents.values() for name in document.get("upstreams", {}))
    for file, document in documents.items():
        if "policies" in kinds:
            for section in ("policies", "subjects"):
                for name, policy in document.get(section, {}).items():
                    for what, edit in _of_policy(policy, models):
                        yield _Idea(f"{section}.{name}: {what}", file, _within(section, name, edit))
                    yield _Idea(f"{section}.{name}: removed", file, _without(section, name))
        if "routes" in kinds:
            for name, route in document.get("routes", {}).items():
                for what, edit in _of_route(name, route, models, upstreams):
                    yield _Idea(f"routes.{name}: {what}", file, _within("routes", name, edit))
                yield _Idea(f"routes.{name}: removed", file, _without("routes", name))
            if "default" in document:
                yield _Idea("default: removed", file, lambda changed: changed.pop("default"))


def _of_policy(policy: Document, models: list[str]) -> Iterator[tuple[str, Edit]]:
    if (named := policy.get("models")) is not None:
        yield "models dropped", _dropped("models")
        stranger = next((model for model in models if model not in named), NOBODY_S)
        yield f"models widened by {stranger}", _set("models", [*named, stranger])
        for model in named:
            yield f"models without {model}", _set("models", [one for one in named if one != model])
    for limit in _LIMITS:
        if (most := policy.get(limit)) is not None:
            yield f"{limit} dropped", _dropped(limit)
            yield f"{limit} doubled", _set(limit, most * 2)
            yield f"{limit} halved", _set(limit, max(1, most // 2))
    if (priority := policy.get("priority")) is not None:
        yield "priority dropped", _dropped("priority")
        yield "priority turned round", _set("priority", 100 - priority)
    if (passed := policy.get("passthrough")) is not None:
        yield "passthrough dropped", _dropped("passthrough")
        for field in passed:
            yield f"passthrough without {field}", _set("passthrough", [one for one in passed if one != field])
    yield from _of_masking(policy)


def _of_masking(owner: Document) -> Iterator[tuple[str, Edit]]:
    masking = owner.get("masking")
    if masking is None:
        return
    yield "masking dropped", _dropped("masking")

    def changed(field: str, value: object) -> Edit:
        return _set("masking", {**masking, field: value})

    kinds = masking.get("kinds") or list(KINDS)
    for kind in kinds:
        yield f"masking without {kind}", changed("kinds", [one for one in kinds if one != kind])
    for entity in masking.get("recognizers", ()):
        left = [one for one in masking["recognizers"] if one != entity]
        yield f"masking without {entity}", changed("recognizers", left)
    for field, usual in (("requests", True), ("answers", False), ("restore", True)):
        yield f"masking.{field} flipped", changed(field, not masking.get(field, usual))


def _of_route(name: str, route: Document, models: list[str], upstreams: list[str]) -> Iterator[tuple[str, Edit]]:
    yield from _of_split(route, upstreams)
    for number, rule in enumerate(rules := route.get("match", [])):
        label = f"match {rule['header']}={rule['value']}"
        yield f"{label} removed", _set("match", rules[:number] + rules[number + 1 :])
        for field, value in (("value", f"{rule['value']}-mutant"), ("upstream", _other(upstreams, rule["upstream"]))):
            yield f"{label}: another {field}", _set("match", _replaced(rules, number, {**rule, field: value}))
    fallbacks = route.get("fallbacks", [])
    for fallback in fallbacks:
        yield f"fallback {fallback} removed", _set("fallbacks", [one for one in fallbacks if one != fallback])
    if len(fallbacks) > 1:
        yield "fallbacks turned round", _set("fallbacks", fallbacks[::-1])
    for model in models:
        if model != name and model not in fallbacks:
            yield f"fallback {model} added", _set("fallbacks", [*fallbacks, model])
    yield from _of_masking(route)
    if (shadow := route.get("shadow")) is not None:
        yield "shadow removed", _dropped("shadow")
        yield "shadow to all", _set("shadow", {**shadow, "percent": 100.0})
        yield "shadow to another", _set("shadow", {**shadow, "upstream": _other(upstreams, shadow["upstream"])})
        yield "shadow without its match", _set("shadow", {key: one for key, one in shadow.items() if key != "match"})


def _of_split(route: Document, upstreams: list[str]) -> Iterator[tuple[str, Edit]]:
    if route["strategy"] == "direct":
        yield "another upstream", _set("upstream", _other(upstreams, route["upstream"]))
    elif route["strategy"] == "canary":
        percent = route["percent"]
        yield f"{_STEP} points more", _set("percent", min(100, percent + _STEP))
        yield f"{_STEP} points fewer", _set("percent", max(0, percent - _STEP))
        yield "primary and canary swapped", _swapped("primary", "canary")
        for field in ("primary", "canary"):
            yield f"another {field}", _set(field, _other(upstreams, route[field]))
    else:
        targets = route["targets"]
        for number, target in enumerate(targets):
            label, giver = f"target {target['upstream']}", targets[number - 1]
            moved = min(_STEP, giver["weight"])
            more = _replaced(targets, number, {**target, "weight": target["weight"] + moved})
            yield (
                f"{label}: {_STEP} points more",
                _set("targets", _replaced(more, number - 1, {**giver, "weight": giver["weight"] - moved})),
            )
            other = {**target, "upstream": _other(upstreams, target["upstream"])}
            yield f"{label}: another upstream", _set("targets", _replaced(targets, number, other))


def _other(names: list[str], name: str) -> str:
    """The next one; the same where there is no other."""
    return names[(names.index(name) + 1) % len(names)] if name in names else name


def _replaced(items: list[Any], number: int, item: object) -> list[Any]:
    number %= len(items)
    return [*items[:number], item, *items[number + 1 :]]


def _set(field: str, value: object) -> Edit:
    return lambda changed: changed.__setitem__(field, value)


def _dropped(field: str) -> Edit:
    return lambda changed: changed.__delitem__(field)


def _swapped(one: str, other: str) -> Edit:
    return lambda changed: changed.update({one: changed[other], other: changed[one]})


def _within(section: str, name: str, edit: Edit) -> Edit:
    return lambda changed: edit(changed[section][name])


def _without(section: str, name: str) -> Edit:
    return lambda changed: changed[section].__delitem__(name)
