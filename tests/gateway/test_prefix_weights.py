"""What a gateway weighs endpoints by, by their engines' own figures, is told by a metric: `arrivals.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nexus_gateway.prefix_routing.arrivals import QUEUED

from ..support.caching_engine import CachingEngine
from ..support.gateway import Gateway, until, write_routes

CHOICE = {"strategy": "prefix", "prefill_tokens_per_second": 20_000, "ttft_penalty_seconds": 2, "scrape_seconds": 0.1}


@pytest.fixture
def engines() -> Iterator[list[CachingEngine]]:
    with ExitStack() as stack:
        yield [stack.enter_context(CachingEngine()) for _ in range(2)]


@pytest.fixture
def gateway(tmp_path: Path, engines: list[CachingEngine]) -> Iterator[Gateway]:
    upstreams = {
        "chat-1": {"endpoints": [one.url for one in engines], "choice": CHOICE},
        "plain-1": {"endpoints": [one.url for one in engines]},
    }
    chat = {"strategy": "direct", "upstream": "chat-1"}
    write_routes(tmp_path / "routes", {"chat": {"upstreams": upstreams, "routes": {"chat": chat}}})
    running = Gateway(tmp_path, "--routes", str(tmp_path / "routes")).wait()
    yield running
    running.stop()


def weights(gateway: Gateway) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(gateway.get("/metrics").text)
    (found,) = (one for one in families if one.name == "gateway_prefix_endpoint_weight")
    return {(sample.labels["upstream"], sample.labels["endpoint"]): sample.value for sample in found.samples}


def test_each_endpoint_that_is_chosen_by_prefix_weighs_1_until_requests_wait_and_then_less_where_more_was_asked(
    gateway: Gateway, engines: list[CachingEngine]
) -> None:
    assert weights(gateway) == {("chat-1", "1"): 1.0, ("chat-1", "2"): 1.0}
    for engine, asked in zip(engines, (3, 1), strict=True):
        engine.waiting, engine.asked_by_others = int(QUEUED[1]), asked
    until(lambda: min(weights(gateway).values()) < 1, "half a minute of figures is enough to weigh by", 90)
    found = weights(gateway)
    assert found["chat-1", "1"] < 1 < found["chat-1", "2"]
