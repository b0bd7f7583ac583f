"""A gateway before several engines that chooses them by prefix, and may remember in Redis who has answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from .caching_engine import CachingEngine
from .gateway import Gateway, until, write_routes

SYSTEM = "You answer for Initech, by its rules, which are these. " * 60


def write(folder: Path, engines: Sequence[CachingEngine], **choice: Any) -> None:
    said = {"strategy": "prefix", "prefill_tokens_per_second": 20_000, "ttft_penalty_seconds": 0.1}
    upstream = {"endpoints": [one.url for one in engines], "choice": said | {"scrape_seconds": 0.1} | choice}
    document = {"upstreams": {"chat-1": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "chat-1"}}}
    write_routes(folder / "routes", {"chat": document})


def started(folder: Path, engines: Sequence[CachingEngine], env: dict[str, str], **choice: Any) -> Gateway:
    write(folder, engines, **choice)
    return Gateway(folder, "--routes", str(folder / "routes"), env=env).wait()


def figure(gateway: Gateway, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(gateway.get("/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def recalls(gateway: Gateway, outcome: str) -> float:
    return figure(gateway, "gateway_placement_recalls_total", outcome=outcome)


def queue(gateway: Gateway, engine: CachingEngine, waiting: int) -> None:
    """Until the gateway must have seen it: one look may be under way, and the third begins when the second is told."""
    engine.waiting, looks = waiting, engine.looks
    until(lambda: engine.looks >= looks + 3, "the gateway has looked")
