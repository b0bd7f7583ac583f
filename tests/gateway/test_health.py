"""Endpoints that are ill are left alone before anybody has to suffer from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.gateway import Gateway, until, write_routes
from ..support.upstream import Engine

CHECK = {"interval_seconds": 0.3, "timeout_seconds": 30}


@pytest.fixture
def pair(engine: Engine, tmp_path: Path) -> Iterator[Gateway]:
    """One upstream of two endpoints that are both checked; the first is asked when both are well."""
    engine.health.clear()
    upstream = {"endpoints": [engine.url("gated"), engine.url("ok")], "health": CHECK}
    document = {"upstreams": {"two": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "two"}}}
    routes = write_routes(tmp_path / "routes", {"all": document})
    running = Gateway(tmp_path, "--routes", str(routes)).wait()
    yield running
    engine.health.clear()
    assert running.stop() == 0


def health(gateway: Gateway) -> dict[str, bool]:
    """Last part of each endpoint's address -> whether it is well."""
    shown: dict[str, Any] = gateway.get("/v1/circuit-breakers").json()
    return {name.rsplit("/", 1)[-1]: state["well"] for name, state in shown.items()}


def test_an_endpoint_that_is_unwell_is_not_asked_until_it_is_well_again(pair: Gateway, engine: Engine) -> None:
    assert pair.ask().status_code == 200
    asked = len(engine.of("gated"))
    engine.health["gated"] = 503
    until(lambda: health(pair) == {"gated": False, "ok": True}, "its illness is noticed")
    assert [pair.ask().status_code for _ in range(4)] == [200] * 4
    assert len(engine.of("gated")) == asked
    engine.health["gated"] = 200
    until(lambda: health(pair)["gated"], "it is well again")
    assert pair.ask().status_code == 200
    assert len(engine.of("gated")) == asked + 1


def test_where_all_are_unwell_all_are_asked(pair: Gateway, engine: Engine) -> None:
    engine.health |= {"gated": 500, "ok": 404}
    until(lambda: not any(health(pair).values()), "both are unwell")
    assert pair.ask().status_code == 200


def test_a_change_of_health_is_told_once(engine: Engine, tmp_path: Path) -> None:
    engine.health["ok"] = 503
    upstream = {"url": engine.url("ok"), "health": CHECK}
    document = {"upstreams": {"one": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "one"}}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    before = len(engine.checked)
    until(lambda: len(engine.checked) >= before + 4, "it is checked again and again")
    engine.health.clear()
    until(lambda: all(state["well"] for state in gateway.get("/v1/circuit-breakers").json().values()), "it is well")
    assert gateway.stop() == 0
    told = [(line["message"], line["endpoint"]) for line in gateway.lines() if "endpoint" in line]
    assert told == [("endpoint is unwell", "one"), ("endpoint is well", "one")]


def test_an_endpoint_whose_check_is_taken_away_is_well(pair: Gateway, engine: Engine, tmp_path: Path) -> None:
    engine.health["gated"] = 503
    until(lambda: not health(pair)["gated"], "its illness is noticed")
    upstream = {"endpoints": [engine.url("gated"), engine.url("ok")]}
    document = {"upstreams": {"two": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "two"}}}
    write_routes(tmp_path / "routes", {"all": document})
    until(lambda: health(pair)["gated"], "nobody says that it is ill any more")
