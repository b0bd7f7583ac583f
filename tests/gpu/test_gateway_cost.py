"""The gateway before the rendered engine costs at most 1 % of throughput and 2 ms of TTFT p99, at 256 in hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..bench.connection import Target
from ..bench.gateway_cost import cost, measured
from ..support.gateway import Gateway, direct, write_routes
from .conftest import MODEL, Place

pytestmark = pytest.mark.timeout(1800)


def test_the_gateway_costs_no_more_than_it_may(url: str, place: Place, tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", {MODEL: direct(MODEL, url)})
    gateway = Gateway(tmp_path, "--routes", str(routes)).wait()
    clients, requests, rounds = (4, 8, 2) if place.cpu else (256, 2048, 9)
    past, through = measured(
        Target("direct", url, MODEL), Target("gateway", gateway.url, MODEL, "dev-key"), clients, requests, rounds
    )
    assert gateway.stop() == 0
    found = cost(past, through)
    print(f"{clients} requests in hand: {found}; generator {max(load.own_share for load in (*past, *through)):.0%}")  # noqa: T201 - figures of `pytest -rP`
    assert place.cpu or found.allowed, found
