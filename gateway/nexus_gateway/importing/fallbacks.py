"""LiteLLM's fallbacks become those of routes. Ours are followed further, along the fallbacks of the one that is asked,
and must lead nowhere twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nexus_gateway.importing.groups import MOST_TRIES
from nexus_gateway.importing.litellm_file import LitellmFile
from nexus_gateway.importing.report import Ledger, Path

_MOST = 16
_EVERY_MODEL = "*"


def add_fallbacks(
    file: LitellmFile, routes: Mapping[str, dict[str, Any]], aliases: Mapping[str, str], ledger: Ledger
) -> None:
    """`routes` are those of models and of their second names; they get `fallbacks`, and tries enough to reach them."""
    pairs = list(_pairs(file, ledger))
    named = {model for _, model, _ in pairs}
    for path, model, other in pairs:
        if model != _EVERY_MODEL:
            _add(routes, path, model, other, ledger)
    for_all = [(path, other) for path, model, other in pairs if model == _EVERY_MODEL]
    for path, other in [*for_all, *_defaults(file, ledger)]:
        for model in routes:
            if model not in named and model not in aliases and "@order-" not in model and model != other:
                _add(routes, path, model, other, ledger)
    for alias, model in aliases.items():
        for other in routes[model].get("fallbacks", ()):
            _add(routes, ("router_settings", "model_group_alias", alias), alias, other, ledger)
    for route in routes.values():
        if "fallbacks" in route:
            route["tries"] = min(MOST_TRIES, route["tries"] + len(route["fallbacks"]))


def _pairs(file: LitellmFile, ledger: Ledger) -> Iterator[tuple[Path, str, str]]:
    """(where it stands, model, who answers instead), of the section that counts."""
    section, entries = "router_settings", file.router_settings.fallbacks
    if not entries:
        section, entries = "litellm_settings", file.litellm_settings.fallbacks
    elif file.litellm_settings.fallbacks:
        ledger.take(("litellm_settings", "fallbacks"), "nothing: router_settings.fallbacks counts more")
    for place, entry in enumerate(entries):
        for model, others in entry.items():
            path = (section, "fallbacks", place, model)
            ledger.take(path, f"routes.{model}.fallbacks")
            for one in others if isinstance(others, list) else [others]:
                if isinstance(one, str):
                    yield path, model, one
                else:
                    ledger.tell(
                        "no counterpart",
                        path,
                        "asks the other model with fields of its own",
                        "fallbacks are names of models: the client's fields go to all of them",
                    )


def _defaults(file: LitellmFile, ledger: Ledger) -> Iterator[tuple[Path, str]]:
    """For models that name none of their own."""
    section, names = "router_settings", file.router_settings.default_fallbacks
    if not names:
        section, names = "litellm_settings", file.litellm_settings.default_fallbacks
    elif file.litellm_settings.default_fallbacks:
        ledger.take(("litellm_settings", "default_fallbacks"), "nothing: router_settings.default_fallbacks counts more")
    for name in names:
        ledger.take((section, "default_fallbacks"), "fallbacks of each route that has none")
        yield (section, "default_fallbacks"), name


def _add(routes: Mapping[str, dict[str, Any]], path: Path, model: str, other: str, ledger: Ledger) -> None:
    if model not in routes or other not in routes:
        missing = model if model not in routes else other
        ledger.tell(
            "left out",
            path,
            f"falls back from {model} to {other}",
            f"{missing} has no route here: write one, then add the fallback",
        )
    elif _leads(routes, other, model):
        ledger.tell(
            "left out",
            path,
            f"falls back from {model} to {other}, which falls back to {model}",
            "fallbacks must not lead back: this one is left out",
        )
    elif len(known := routes[model].setdefault("fallbacks", [])) >= _MOST:
        ledger.tell("left out", path, f"falls back from {model} to {other}", f"a route has at most {_MOST} fallbacks")
    elif other not in known:
        known.append(other)


def _leads(routes: Mapping[str, dict[str, Any]], start: str, end: str) -> bool:
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name == end:
            return True
        if name not in seen:
            seen.add(name)
            following: Sequence[str] = routes[name].get("fallbacks", ())
            waiting.extend(following)
    return False
