"""What /metrics says: all that the reference names and nothing else, in names and labels that a Prometheus can bear."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from nexus_gateway.keys import digest
from nexus_gateway.telemetry.families import GAPS, LABELS
from nexus_gateway.telemetry.gaps import Gaps

from ..support.gateway import OTHER, RELEASE, Gateway, until, write_routes
from ..support.repository import ROOT
from ..support.tls import Authority
from ..support.upstream import Engine

ROW = re.compile(r"^\| `(gateway_\w+)` \| (\w+) \| (.*?) \| (.+) \| \w+ \|$", re.MULTILINE)
PAGE = {
    name: (kind, set(re.findall(r"`(\w+)`", labels)), meaning)
    for name, kind, labels, meaning in ROW.findall((ROOT / "docs/reference/metrics.md").read_text())
}
POOR = "poor-key"


def route(upstream: str, *fallbacks: str) -> dict[str, object]:
    return {"strategy": "direct", "upstream": upstream, "fallbacks": list(fallbacks)}


@pytest.fixture(scope="module")
def busy(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that has seen of each thing one that metrics count."""
    folder = tmp_path_factory.mktemp("busy")
    upstreams: dict[str, object] = {name: {"url": engine.url(name), "release": RELEASE} for name in ("ok", "500")}
    upstreams |= {
        "cached": {"url": engine.url("cached"), "release": OTHER, "max_parallel": 4},
        "slow": {"url": "mock://slow?itl=0.06", "release": RELEASE},
    }
    choice = {"strategy": "prefix", "prefill_tokens_per_second": 1000, "ttft_penalty_seconds": 1}
    upstreams["several"] = {"endpoints": [engine.url("ok"), engine.url("cached")], "choice": choice}
    upstreams["named"] = {"service": "http://localhost:1"}
    certificate, key = map(str, Authority(folder / "ours").certificate("gateway"))
    upstreams["proved"] = {"url": "https://127.0.0.1:1", "tls": {"certificate": certificate, "key": key}}
    routes = {name: route(name) for name in ("ok", "cached", "slow", "several")} | {"500": route("500", "ok")}
    routes["hidden"] = route("ok") | {"masking": {}}
    routes["copied"] = route("ok") | {"shadow": {"upstream": "cached", "percent": 100}}
    routes["uncopied"] = route("ok") | {"shadow": {"upstream": "500", "percent": 100}}
    routes["split"] = {"strategy": "canary", "primary": "ok", "canary": "slow", "percent": 50}
    policies = {f"env-{digest(POOR.encode()).hex()[:8]}": {"requests_per_minute": 1}}
    files = {"all": {"upstreams": upstreams, "routes": routes, "policies": policies}}
    flags = ("--routes", str(write_routes(folder / "routes", files)))
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1", "GATEWAY_API_KEYS": f"dev-key,{POOR}"}
    gateway = Gateway(folder, *flags, env=env).wait()
    for model, stream in (("ok", False), ("ok", True), ("cached", False), ("cached", True), ("slow", True)):
        assert gateway.ask(model, stream=stream).status_code == 200
    assert [gateway.ask(model, stream=True).status_code for model in ("split", "several")] == [200, 200]
    until(lambda: samples(gateway, "gateway_engine_scrapes_total"), "an engine's load was looked at")
    assert gateway.ask("500").headers["x-fallback-model"] == "ok"
    assert gateway.ask("ok", headers={"idempotency-key": "one"}).status_code == 200
    assert gateway.ask("hidden", user="kim@example.org").status_code == 200
    assert [gateway.ask(model).status_code for model in ("copied", "uncopied")] == [200, 200]  # 500's circuit is open
    until(lambda: samples(gateway, "gateway_shadow_requests_total"), "the copy has ended")
    limited = [gateway.ask("ok", headers={"authorization": f"Bearer {POOR}"}).status_code for _ in range(2)]
    assert limited == [200, 429]
    yield gateway
    assert gateway.stop() == 0


def scraped(gateway: Gateway) -> dict[str, Metric]:
    """Family by the name that the text has, a counter's with its `_total`."""
    families = text_string_to_metric_families(gateway.get("/metrics").text)
    return {family.name + ("_total" if family.type == "counter" else ""): family for family in families}


def samples(gateway: Gateway, name: str) -> dict[tuple[str, ...], float]:
    """Label values, in the order of their labels' names -> value."""
    found = scraped(gateway)[name].samples
    return {tuple(s.labels[label] for label in sorted(s.labels)): s.value for s in found if s.name == name}


def bucket(gateway: Gateway, name: str, bound: str, **labels: str) -> float:
    wanted = {**labels, "le": bound}
    (value,) = (s.value for s in scraped(gateway)[name].samples if s.name == f"{name}_bucket" and s.labels == wanted)
    return value


def test_a_scrape_has_what_the_page_names_and_nothing_else(busy: Gateway) -> None:
    found = scraped(busy)
    assert set(found) == set(PAGE)
    for name, (kind, labels, meaning) in PAGE.items():
        assert (found[name].type, found[name].documentation) == (kind, meaning), name
        assert found[name].samples, f"{name} was not counted"
        assert {label for sample in found[name].samples for label in sample.labels} - {"le"} == labels, name


def test_the_page_says_what_each_label_holds() -> None:
    assert set(LABELS) == set().union(*(labels for _, labels, _ in PAGE.values()))


@pytest.mark.parametrize("name", PAGE)
def test_names_hold_to_prometheus_s_rules(name: str) -> None:
    """Those of `promtool check metrics`."""
    kind, labels, meaning = PAGE[name]
    assert re.fullmatch(r"gateway(_[a-z]+)+", name)
    assert meaning
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search(r"_(count|sum|bucket)$|_(gauge|counter|histogram|summary)(_|$)", name)
    assert not re.search(r"_(ms|milliseconds|us|minutes|hours|kb|mb|kilobytes|percent)(_|$)", name)
    assert name.endswith("_info") == ("revision" in labels)
    assert not any(label.startswith("__") or label in ("le", "quantile", "job", "instance") for label in labels)


def test_what_a_client_chooses_makes_no_new_label_value(busy: Gateway) -> None:
    def sets() -> set[tuple[str, str]]:
        return {
            (sample.name, json.dumps({k: v for k, v in sample.labels.items() if k != "status"}))
            for family in scraped(busy).values()
            for sample in family.samples
        }

    before, key = sets(), {"authorization": "Bearer dev-key"}
    for number in range(5):
        assert busy.ask(f"model-{number}").status_code == 404
        named = {"x-request-id": f"r{number}", "x-nexus-session": f"s{number}", "user-agent": f"a{number}"}
        assert busy.ask("ok", headers=named, user=f"u{number}").status_code == 200
        assert httpx.post(f"{busy.url}/v1/nothing/{number}", headers=key, timeout=30).status_code == 404
        odd = [httpx.request(name, f"{busy.url}/v1/chat/completions", timeout=30) for name in (f"ODD{number}", "PATCH")]
        assert [answer.status_code for answer in odd] == [400, 405]
        assert busy.ask("ok", headers={"authorization": f"Bearer {number}"}).status_code == 401
    assert sets() == before


def test_each_wait_of_a_stream_is_counted_and_not_its_mean(busy: Gateway) -> None:
    """The mock says seven events and the end mark, 60 ms apart: seven waits behind the first event."""
    name, labels = "gateway_inter_token_latency_seconds", {"route": "slow", "release": RELEASE}
    assert bucket(busy, name, "+Inf", **labels) == 7
    assert bucket(busy, name, "0.05", **labels) == 0


def test_a_whole_answer_has_no_waits_between_tokens(busy: Gateway) -> None:
    streamed = bucket(busy, "gateway_inter_token_latency_seconds", "+Inf", route="cached", release=OTHER)
    assert streamed == 2  # of the one stream: the account and the end mark behind the first word
    assert bucket(busy, "gateway_time_to_first_byte_seconds", "+Inf", route="cached", release=OTHER) == 2


def test_a_stall_is_seen_among_quick_tokens() -> None:
    gaps = Gaps()
    for _ in range(500):
        gaps.came(0.02, 1)
    gaps.came(2.0, 0)  # half an event
    gaps.came(2.0, 1)
    gaps.came(0.0, 0)
    gaps.came(0.004, 3)
    by_bound = dict(zip(GAPS, gaps.counts, strict=False))
    assert (by_bound[0.025], by_bound[5.0], by_bound[0.005], by_bound[0.001]) == (500, 1, 1, 2)
    assert sum(gaps.counts) == 504
    assert (gaps.longest, round(gaps.total, 3)) == (4.0, 14.004)


def test_a_slow_client_does_not_make_an_engine_look_slow(busy: Gateway, engine: Engine, tmp_path: Path) -> None:
    files = {"flood": {"upstreams": {"f": {"url": engine.url("flood")}}, "routes": {"flood": route("f")}}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files))).wait()
    body = {"model": "flood", "stream": True, "messages": []}
    url, key = f"{gateway.url}/v1/chat/completions", {"x-api-key": "dev-key"}
    with httpx.stream("POST", url, json=body, headers=key, timeout=60) as out:
        threading.Event().wait(5.5)  # the client's own slowness, which is what the test is about
        assert sum(map(len, out.iter_raw())) > 60_000_000
    until(lambda: samples(gateway, "gateway_requests_total"), "it is counted")
    name, labels = "gateway_inter_token_latency_seconds", {"route": "flood", "release": ""}
    assert bucket(gateway, name, "5.0", **labels) == bucket(gateway, name, "+Inf", **labels) > 0
    assert gateway.stop() == 0


def test_cached_tokens_are_told_beside_those_of_the_prompt(busy: Gateway) -> None:
    tokens = samples(busy, "gateway_tokens_total")
    kinds = {kind: tokens[(kind, OTHER, "cached")] for kind in ("prompt", "completion", "cached")}
    assert kinds == {"prompt": 14, "completion": 6, "cached": 10}
    assert ("cached", RELEASE, "ok") not in tokens


def test_tokens_are_told_by_the_tenants_that_the_routes_name_and_all_others_together(busy: Gateway) -> None:
    tokens, named = samples(busy, "gateway_tenant_tokens_total"), f"env-{digest(POOR.encode()).hex()[:8]}"
    assert {tenant for *_, tenant in tokens} == {named, "other"}
    assert tokens[("completion", RELEASE, "ok", named)] == 3, "the answer within its limit"
    sums: dict[tuple[str, ...], float] = {}
    for (*made_by, _), value in tokens.items():
        sums[tuple(made_by)] = sums.get(tuple(made_by), 0) + value
    assert sums == samples(busy, "gateway_tokens_total")


def test_retries_are_counted_by_what_the_engine_before_failed_of(busy: Gateway) -> None:
    assert samples(busy, "gateway_retries_total") == {("upstream_failed",): 1}
    assert bucket(busy, "gateway_upstream_tries", "1.0", route="ok") >= 2
    tried_twice = [bucket(busy, "gateway_upstream_tries", bound, route="ok") for bound in ("1.0", "2.0")]
    assert tried_twice[1] - tried_twice[0] == 1
    assert bucket(busy, "gateway_upstream_tries", "0.0", route="ok") == 1  # the one over its limit


def test_a_circuit_s_state_is_told_for_each_endpoint_that_was_thought_of(busy: Gateway) -> None:
    states = samples(busy, "gateway_circuit_state")
    closed = [("1", "ok"), ("1", "cached"), ("1", "slow"), ("1", "several"), ("2", "several")]  # endpoint, upstream
    assert states == {("1", "500"): 2, **dict.fromkeys(closed, 0)}


def test_no_address_of_an_engine_is_told_to_whoever_may_scrape(engine: Engine, tmp_path: Path) -> None:
    endpoints = [engine.url("ok"), engine.url("other")]
    document = {"upstreams": {"pair": {"endpoints": endpoints}}, "routes": {"pair": route("pair")}}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document}))).wait()
    assert [gateway.ask("pair").status_code for _ in range(4)] == [200] * 4
    text = gateway.get("/metrics", None).text
    assert 'gateway_circuit_state{endpoint="2",upstream="pair"} 0.0' in text
    assert str(engine.port) not in text
    assert gateway.stop() == 0
