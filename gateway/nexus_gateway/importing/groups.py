"""Deployments with one `model_name` become a route: endpoints of one upstream, or shares of several, and what comes
after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from nexus_gateway.importing.deployments import SHARES, Engine
from nexus_gateway.importing.report import Ledger

PATIENCE = 600.0
"""Seconds that LiteLLM's router waits for an answer where nothing says otherwise."""
RETRIES = 2
"""That LiteLLM's router makes where nothing says otherwise, as OpenAI's library does."""
MOST_TRIES = 10


@dataclass
class Group:
    """What one file of routes is to say."""

    model: str
    upstreams: dict[str, dict[str, Any]] = field(default_factory=dict)
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {"upstreams": self.upstreams, "routes": self.routes}


@dataclass(frozen=True)
class Patience:
    """What the file's settings say for all models; None where they do not."""

    timeout: float | None
    stream_timeout: float | None
    retries: float | None


def group_of(model: str, engines: Sequence[Engine], patience: Patience, ledger: Ledger) -> Group:
    """`engines` are one or more. Those that are asked later by their `order` are a route of their own, to which the
    model's route falls back."""
    group, ranked = Group(model), sorted(engines, key=lambda engine: engine.order)
    ranks = [list(same) for _, same in groupby(ranked, key=lambda engine: engine.order)]
    if len({engine.timeout for engine in engines}) > 1 or len({engine.retries for engine in engines}) > 1:
        ledger.tell(
            "differs",
            engines[0].path,
            "gives each deployment its own timeout and retries",
            f"the route {model} has one set for all: the longest, and the most",
        )
    names = [model, *(f"{model}@order-{rank}" for rank in range(2, len(ranks) + 1))]
    for name, same in zip(names, ranks, strict=True):
        group.routes[name] = {**_targets(group, same, ledger), **_patience(engines, patience)}
    if len(names) > 1:
        group.routes[model]["fallbacks"] = names[1:]
        for engine in ranked[len(ranks[0]) :]:
            ledger.tell(
                "differs",
                (*engine.path, "litellm_params", "order"),
                "is asked when those before it fail",
                f"has a route of its own, {names[1]} or after it, which keys with `models` must name too",
            )
    return group


def _targets(group: Group, engines: Sequence[Engine], ledger: Ledger) -> dict[str, Any]:
    if len(engines) == 1:
        group.upstreams[engines[0].name] = dict(engines[0].file)
        return {"strategy": "direct", "upstream": engines[0].name}
    shares = _shares(engines, ledger)
    if len(set(shares)) == 1 and (one := _as_endpoints(engines)) is not None:
        name = engines[0].name
        group.upstreams[name] = one
        for engine in engines:
            ledger.take((*engine.path, "model_info", "id"), f"upstreams.{name}.endpoints")
        ledger.tell(
            "differs",
            engines[0].path,
            "picks one of these deployments by chance",
            f"they are the endpoints of upstream {name}; the one with the fewest calls under way is asked",
        )
        return {"strategy": "direct", "upstream": name}
    for engine in engines:
        group.upstreams[engine.name] = dict(engine.file)
    ledger.tell(
        "differs",
        engines[0].path,
        "picks anew for each request",
        "a client with x-nexus-session or `user` stays with one target; others are drawn anew",
    )
    percents = percents_of(shares)
    targets = [{"upstream": engine.name, "weight": share} for engine, share in zip(engines, percents, strict=True)]
    return {"strategy": "weighted", "targets": targets}


def _shares(engines: Sequence[Engine], ledger: Ledger) -> list[float]:
    """By the first of SHARES that the first deployment has; who lacks it gets nothing."""
    kind = next((kind for kind in SHARES if kind in engines[0].shares), None)
    if kind is None or not any(engine.shares.get(kind) for engine in engines):
        return [1.0] * len(engines)
    for engine in engines:
        path = (*engine.path, "litellm_params", kind)
        ledger.take(path, "the shares of the route")
        if kind != "weight" and kind in engine.shares:
            ledger.tell(
                "differs",
                path,
                "weighs the deployment, and limits it where the strategy or a check looks at limits",
                "weighs it: callers are limited by `policies`, an engine by max_parallel",
            )
    return [engine.shares.get(kind, 0.0) for engine in engines]


def percents_of(shares: Sequence[float]) -> list[float]:
    """Hundredths of a percent that add up to 100; what rounding leaves goes to the largest."""
    total = sum(shares)
    hundredths = [round(share * 10_000 / total) for share in shares]
    largest = hundredths.index(max(hundredths))
    hundredths[largest] += 10_000 - sum(hundredths)
    return [share / 100 for share in hundredths]


def _as_endpoints(engines: Sequence[Engine]) -> dict[str, Any] | None:
    """One upstream for all, where they differ in nothing but the address."""
    first: Mapping[str, Any] = {key: value for key, value in engines[0].file.items() if key != "url"}
    urls = [engine.file["url"] for engine in engines]
    alike = all({key: value for key, value in one.file.items() if key != "url"} == first for one in engines)
    if not alike or len(set(urls)) != len(urls) or not all(url.startswith("http") for url in urls):
        return None
    document = {"endpoints": urls, **first}
    if "max_parallel" in document:
        document["max_parallel"] *= len(urls)
    return document


def _patience(engines: Sequence[Engine], patience: Patience) -> dict[str, Any]:
    """A route has one set of deadlines and tries: the most that any of its deployments has."""

    def longest(own: list[float | None], otherwise: float | None) -> float | None:
        given = [one if one is not None else otherwise for one in own]
        return max((one for one in given if one is not None), default=None)

    whole = longest([engine.timeout for engine in engines], patience.timeout) or PATIENCE
    chunk = longest([engine.stream_timeout for engine in engines], patience.stream_timeout)
    retries = longest([engine.retries for engine in engines], patience.retries)
    timeouts = {"first_byte_seconds": min(whole, 86_400.0), "total_seconds": min(max(whole, PATIENCE), 86_400.0)}
    if chunk:
        timeouts["chunk_seconds"] = min(chunk, 86_400.0)
    return {"timeouts": timeouts, "tries": min(MOST_TRIES, 1 + int(RETRIES if retries is None else retries))}
