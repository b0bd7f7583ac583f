"""What is counted of each tenant, and who is told of whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from nexus_gateway.keys import digest
from nexus_gateway.telemetry.families import FAMILIES, GAPS, SECONDS, TENANT_GAPS, TENANT_SECONDS
from nexus_gateway.telemetry.gaps import Gaps, by_fewer
from nexus_release.local.free_ports import free_port

from ..support.gateway import PLAIN, RELEASE, Gateway, code, until, write_routes
from ..support.upstream import Engine

KEYS: dict[str, dict[str, Any]] = {
    "operator-key": {"id": "operator", "scopes": ["admin"]},
    "one-key": {"id": "one", "tenant": "team-a"},
    "two-key": {"id": "two", "tenant": "team-a"},
    "three-key": {"id": "three", "tenant": "team-b"},
    "stranger-key": {"id": "stranger"},
}
NAMES = {one.name.removesuffix("_total") for one in FAMILIES if one.names_tenants}


@pytest.fixture(scope="module")
def flags(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("tenants")
    upstreams = {
        **{name: {"url": engine.url(name), "release": RELEASE} for name in ("ok", "cached", "500")},
        "slow": {"url": "mock://slow?itl=0.03", "release": RELEASE},
    }
    document = {
        "upstreams": upstreams,
        "routes": {name: {"strategy": "direct", "upstream": name} for name in upstreams},
        "policies": {"team-a": {}, "team-b": {"requests_per_minute": 2}},
    }
    entries = [{**entry, "digest": f"sha256:{digest(key.encode()).hex()}"} for key, entry in KEYS.items()]
    (folder / "keys.yaml").write_text(json.dumps({"keys": entries}))
    return ["--routes", str(write_routes(folder / "routes", {"all": document})), "--keys", str(folder / "keys.yaml")]


@pytest.fixture(scope="module")
def gateway(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("gateway"), *flags).wait()
    asked = [("one-key", "ok"), ("two-key", "ok"), ("one-key", "500"), ("stranger-key", "cached")]
    assert [status(running, *one) for one in asked] == [200, 200, 502, 200]
    assert [status(running, "three-key", "slow", stream=True) for _ in range(3)] == [200, 200, 429]
    yield running
    assert running.stop() == 0


def status(gateway: Gateway, key: str, model: str, *, stream: bool = False) -> int:
    return gateway.ask(model, headers={"authorization": f"Bearer {key}"}, stream=stream).status_code


def named(text: str) -> dict[str, list[Sample]]:
    """Family -> its samples, of those whose samples name a tenant."""
    found = {one.name: one.samples for one in text_string_to_metric_families(text)}
    return {name: those for name, those in found.items() if any("tenant" in sample.labels for sample in those)}


def tenants(text: str) -> set[str]:
    return {sample.labels["tenant"] for samples in named(text).values() for sample in samples}


def sums(text: str, name: str, *leaving_out: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                labels = {key: value for key, value in sample.labels.items() if key not in leaving_out}
                place = json.dumps(labels, sort_keys=True)
                found[place] = found.get(place, 0) + sample.value
    return found


# --- what is counted --------------------------------------------------------------------------------------------------


def test_requests_tokens_and_waits_are_told_by_tenant_and_model(gateway: Gateway) -> None:
    text = gateway.get("/metrics", "operator-key").text
    assert set(named(text)) == NAMES
    requests = sums(text, "gateway_tenant_requests_total")
    assert requests == {
        json.dumps({"route": route, "status": status, "tenant": tenant}): count
        for route, status, tenant, count in [
            ("ok", "200", "team-a", 2),
            ("500", "502", "team-a", 1),
            ("cached", "200", "other", 1),
            ("slow", "200", "team-b", 2),
            ("slow", "429", "team-b", 1),
        ]
    }


@pytest.mark.parametrize(
    ("of_tenants", "of_all"),
    [
        ("gateway_tenant_requests_total", "gateway_release_requests_total"),
        ("gateway_tenant_tokens_total", "gateway_tokens_total"),
        ("gateway_tenant_first_byte_seconds_count", "gateway_time_to_first_byte_seconds_count"),
        ("gateway_tenant_first_byte_seconds_sum", "gateway_time_to_first_byte_seconds_sum"),
        ("gateway_tenant_inter_token_seconds_count", "gateway_inter_token_latency_seconds_count"),
        ("gateway_tenant_inter_token_seconds_sum", "gateway_inter_token_latency_seconds_sum"),
    ],
)
def test_what_tenants_have_is_together_what_there_is(gateway: Gateway, of_tenants: str, of_all: str) -> None:
    text = gateway.get("/metrics", "operator-key").text
    ours, all_ = (sums(text, name, "tenant", "release") for name in (of_tenants, of_all))
    assert ours == pytest.approx(all_)
    assert ours


def test_fewer_buckets_hold_the_same_waits() -> None:
    assert set(TENANT_SECONDS) < set(SECONDS)
    assert set(TENANT_GAPS) < set(GAPS)
    gaps = Gaps()
    for waited in (0.0009, 0.005, 0.0051, 0.09, 0.3, 61.0):
        gaps.came(waited, 1)
    by_bound = dict(zip((*TENANT_GAPS, "more"), by_fewer(gaps.counts), strict=True))
    assert {bound: count for bound, count in by_bound.items() if count} == {
        0.005: 2,
        0.01: 1,
        0.1: 1,
        0.5: 1,
        "more": 1,
    }


# --- who is told ------------------------------------------------------------------------------------------------------


def test_a_key_with_the_scope_admin_is_told_of_all_tenants(gateway: Gateway) -> None:
    assert tenants(gateway.get("/metrics", "operator-key").text) == {"team-a", "team-b", "other"}


@pytest.mark.parametrize("key", [None, "one-key", "stranger-key", "no-key-of-this-gateway"])
def test_nobody_else_is_told_of_any_and_all_is_told_else(gateway: Gateway, key: str | None) -> None:
    """A key that is none gets the rest too: one that has ended must not blind whoever watches."""
    answer = gateway.get("/metrics", key)
    assert answer.status_code == 200
    assert "team-" not in answer.text
    families = {one.name for one in text_string_to_metric_families(answer.text)}
    assert families == {one.name.removesuffix("_total") for one in FAMILIES} - NAMES


def test_a_tenant_is_told_of_itself_alone_by_any_of_its_keys(gateway: Gateway) -> None:
    one, two = (gateway.get("/v1/figures", key).text for key in ("one-key", "two-key"))
    assert one == two
    assert set(named(one)) == NAMES - {"gateway_tenant_inter_token_seconds"}  # it has asked for no stream
    assert (tenants(one), tenants(gateway.get("/v1/figures", "three-key").text)) == ({"team-a"}, {"team-b"})
    whole = named(gateway.get("/metrics", "operator-key").text)["gateway_tenant_requests"]
    assert named(one)["gateway_tenant_requests"] == [one for one in whole if one.labels["tenant"] == "team-a"]


@pytest.mark.parametrize("key", ["stranger-key", "operator-key"])
def test_whom_the_routes_do_not_name_is_not_told_of_others_like_it(gateway: Gateway, key: str) -> None:
    answer = gateway.get("/v1/figures", key)
    assert (answer.status_code, named(answer.text)) == (200, {})


def test_figures_of_a_tenant_want_a_key(gateway: Gateway) -> None:
    answer = gateway.get("/v1/figures", None)
    assert (answer.status_code, code(answer)) == (401, "invalid_api_key")


def test_a_gateway_that_is_set_to_names_tenants_to_everybody(flags: list[str], tmp_path: Path) -> None:
    running = Gateway(tmp_path, *flags, env={"GATEWAY_METRICS_TENANTS": "true"}).wait()
    assert status(running, "one-key", "ok") == 200
    until(lambda: tenants(running.get("/metrics", None).text) == {"team-a"}, "it is counted")
    assert running.stop() == 0


def test_on_a_port_for_operators_tenants_are_named_and_on_the_public_one_each_sees_itself(
    flags: list[str], tmp_path: Path
) -> None:
    """Two processes too, which tell together."""
    port = free_port()
    running = Gateway(tmp_path, *flags, "--admin-port", str(port), "--workers", "2").wait()
    for key in ("one-key", "three-key") * 2:
        status(running, key, "ok")

    def told(at: int, path: str, key: str | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.get(f"http://127.0.0.1:{at}{path}", headers=headers, timeout=30, verify=PLAIN)

    until(lambda: tenants(told(port, "/metrics").text) == {"team-a", "team-b"}, "all are counted")
    assert told(port, "/v1/figures", "one-key").status_code == 404
    assert told(running.port, "/metrics", "operator-key").status_code == 404
    wanted = {json.dumps({"route": "ok", "status": "200", "tenant": "team-a"}): 2}

    def own() -> bool:
        """A process that is too busy to answer is counted as it was a moment before."""
        return sums(told(running.port, "/v1/figures", "one-key").text, "gateway_tenant_requests_total") == wanted

    until(own, "its own two requests")
    assert running.stop() == 0
