"""Limits of one gateway: what a window admits, what a refusal says, and what is given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.admission import counted
from nexus_gateway.keys import digest
from nexus_gateway.limits import memory
from nexus_gateway.limits.limiter import Reservation
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.limits.windows import Limits, Verdict
from nexus_gateway.routes_file import PolicyFile
from nexus_gateway.telemetry.record import RequestRecord

from ..support.gateway import Gateway, code, until, write_routes
from ..support.upstream import USAGE, Engine

MODELS = ("ok", "500", "400", "gated", "stall-midway")
KEYS = ("three", "tokens", "parallel", "free", "stream", "failing", "left", "refused", "never")


class Clock:
    def __init__(self) -> None:
        self.now = 6000.0  # the beginning of a window

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> MemoryLimiter:
    return MemoryLimiter(clock)


def reserve(limiter: MemoryLimiter, limits: Limits, tokens: int = 0, bucket: str = "a") -> Verdict:
    verdict: Verdict = limiter.reserve(bucket, limits, tokens).value[0]
    return verdict


def reserved(limiter: MemoryLimiter, limits: Limits, tokens: int) -> Reservation:
    reservation: Reservation | None = limiter.reserve("a", limits, tokens).value[1]
    assert reservation is not None
    return reservation


def test_as_many_as_the_limit_and_not_one_more(limiter: MemoryLimiter) -> None:
    limits = Limits(requests=3)
    assert [reserve(limiter, limits).admitted for _ in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize("moment", [0.0, 0.5, 20.0, 59.5])
def test_a_refusal_s_retry_after_is_true(limiter: MemoryLimiter, clock: Clock, moment: float) -> None:
    limits = Limits(requests=10)
    clock.now += moment
    while reserve(limiter, limits).admitted:
        pass
    seconds = reserve(limiter, limits).retry_after
    assert seconds >= 1
    clock.now += seconds - 1.001
    assert not reserve(limiter, limits).admitted, "it is not longer than it must be"
    clock.now += 1.001
    assert reserve(limiter, limits).admitted


def test_what_is_refused_is_not_counted(limiter: MemoryLimiter, clock: Clock) -> None:
    limits = Limits(requests=2)
    for _ in range(100):
        reserve(limiter, limits)
    clock.now += 90  # half of the window in which two were admitted has slid out
    assert reserve(limiter, limits).admitted


def test_a_request_larger_than_the_limit_of_tokens_never_passes(limiter: MemoryLimiter) -> None:
    verdict = reserve(limiter, Limits(tokens=100), 101)
    assert (verdict.admitted, verdict.reason, verdict.retry_after) == (False, "tokens", 60)


def test_callers_have_windows_of_their_own(limiter: MemoryLimiter) -> None:
    limits = Limits(requests=1)
    assert reserve(limiter, limits, bucket="a").admitted
    assert reserve(limiter, limits, bucket="b").admitted
    assert not reserve(limiter, limits, bucket="a").admitted


def test_the_true_count_takes_the_place_of_the_estimate_once(limiter: MemoryLimiter) -> None:
    limits = Limits(tokens=100)
    first = reserved(limiter, limits, 90)
    assert not reserve(limiter, limits, 20).admitted
    limiter.settle(first, 30)
    limiter.settle(first, 0)
    limiter.refund(first)
    assert reserve(limiter, limits, 71).reason == "tokens"
    assert reserve(limiter, limits, 70).admitted


def test_a_count_above_the_estimate_is_taken_too(limiter: MemoryLimiter) -> None:
    limits = Limits(tokens=100)
    limiter.settle(reserved(limiter, limits, 10), 95)
    assert not reserve(limiter, limits, 6).admitted


def test_what_is_refunded_was_never_there(limiter: MemoryLimiter, clock: Clock) -> None:
    limits = Limits(requests=1, tokens=10)
    limiter.refund(reserved(limiter, limits, 10))
    last = reserved(limiter, limits, 10)
    clock.now += 60  # the next window: the one before is corrected
    limiter.refund(last)
    assert reserve(limiter, limits, 10).admitted


def test_a_correction_of_a_window_that_is_gone_changes_nothing(limiter: MemoryLimiter, clock: Clock) -> None:
    old = reserved(limiter, Limits(tokens=10), 10)
    clock.now += 180
    reserved(limiter, Limits(tokens=10), 10)
    limiter.refund(old)
    assert not reserve(limiter, Limits(tokens=10), 1).admitted


@given(st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=300), st.integers(1, 20))
def test_no_minute_admits_twice_the_limit_and_no_window_more_than_it(pauses: list[float], most: int) -> None:
    """The bound of the two windows: each holds `most` at most, and a minute touches two."""
    clock = Clock()
    limiter, limits, admitted = MemoryLimiter(clock), Limits(requests=most), list[float]()
    for pause in pauses:
        clock.now += pause
        if reserve(limiter, limits).admitted:
            admitted.append(clock.now)
    assert all(sum(at <= other < at + 60 for other in admitted) <= 2 * most for at in admitted)
    windows = [int(at // 60) for at in admitted]
    assert all(windows.count(window) <= most for window in windows)


@given(st.integers(5, 50), st.floats(0.1, 3.0))
def test_an_even_flow_is_never_above_the_limit_by_more_than_a_third(most: int, pace: float) -> None:
    clock = Clock()
    limiter, limits, admitted = MemoryLimiter(clock), Limits(requests=most), list[float]()
    while clock.now < 6240:
        if reserve(limiter, limits).admitted:
            admitted.append(clock.now)
        clock.now += pace
    assert max(sum(at <= other < at + 60 for other in admitted) for at in admitted) <= most * 1.34 + 1


def test_what_a_million_callers_leave_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_BUCKETS", 100)
    limiter = MemoryLimiter(clock)
    reserve(limiter, Limits(requests=1), bucket="first")
    for number in range(1000):
        reserve(limiter, Limits(requests=1), bucket=str(number))
    assert len(limiter) == 100
    assert not reserve(limiter, Limits(requests=1), bucket="999").admitted, "the newest are remembered"
    assert reserve(limiter, Limits(requests=1), bucket="first").admitted, "the oldest begin anew"


@pytest.fixture(scope="module")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("limits")
    entries = [{"id": name, "digest": f"sha256:{digest(name.encode()).hex()}"} for name in KEYS]
    (folder / "keys.yaml").write_text(yaml.safe_dump({"keys": entries}))
    document = {
        "upstreams": {name: {"url": engine.url(name)} for name in MODELS},
        "routes": {name: {"strategy": "direct", "upstream": name} for name in MODELS},
        "policies": {
            "three": {"requests_per_minute": 3},
            "tokens": {"tokens_per_minute": 700},
            "stream": {"tokens_per_minute": 700},
            "failing": {"requests_per_minute": 2, "tokens_per_minute": 700},
            "refused": {"requests_per_minute": 2, "tokens_per_minute": 700},
            "left": {"requests_per_minute": 50, "tokens_per_minute": 700},
            "parallel": {"max_parallel": 2},
            "never": {"tokens_per_minute": 100},
        },
    }
    document["routes"]["gated"]["timeouts"] = {"first_byte_seconds": 60}
    routes = write_routes(folder / "routes", {"all": document})
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    running = Gateway(folder, "--routes", str(routes), "--keys", str(folder / "keys.yaml"), env=many).wait()
    yield running
    assert running.stop() == 0


def ask(gateway: Gateway, key: str, model: str = "ok", **body: Any) -> httpx.Response:
    return gateway.ask(model, headers={"authorization": f"Bearer {key}"}, **body)


def test_a_key_s_requests_are_counted_and_the_answers_say_how_many_are_left(gateway: Gateway) -> None:
    answers = [ask(gateway, "three") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    last = answers[-1]
    assert (code(last), last.headers["x-ratelimit-limit-requests"]) == ("rate_limited", "3")
    assert 1 <= int(last.headers["retry-after"]) <= 120
    assert "x-ratelimit-limit-tokens" not in last.headers
    assert 'gateway_limit_refusals_total{limit="requests"}' in gateway.get("/metrics", "free").text
    assert "gateway_rate_limited_total 1.0" in gateway.get("/metrics", "free").text


def test_both_headers_of_a_key_have_one_bucket(gateway: Gateway) -> None:
    given_ = {"content-type": "application/json", "x-api-key": "three"}
    body = b'{"model": "ok", "messages": []}'
    for _ in range(4):
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=body, headers=given_, timeout=30)
    assert answer.status_code == 429


def test_without_a_limit_nothing_is_said_of_one(gateway: Gateway) -> None:
    assert not [name for name in ask(gateway, "free").headers if name.startswith("x-ratelimit")]


def test_tokens_are_kept_free_and_then_counted_as_the_engine_says(gateway: Gateway) -> None:
    first = ask(gateway, "tokens", max_tokens=600)
    assert first.status_code == 200
    kept = int(first.headers["x-ratelimit-remaining-tokens"])
    assert kept < 100, "what it may use is kept free while it is under way"
    second = ask(gateway, "tokens", max_tokens=600)
    assert second.status_code == 200, "and is free again afterwards"
    left = int(second.headers["x-ratelimit-remaining-tokens"])
    assert left == kept - USAGE["total_tokens"]
    assert ask(gateway, "tokens", max_tokens=680).status_code == 429


def test_a_request_that_can_never_fit_is_told_so_and_not_to_come_again(gateway: Gateway) -> None:
    answer = ask(gateway, "never", max_tokens=100)
    assert (answer.status_code, code(answer)) == (400, "too_many_tokens")
    assert "100 a minute" in answer.json()["error"]["message"]
    assert "retry-after" not in answer.headers
    assert ask(gateway, "never").status_code == 200, "who does not say how long asks for no more than there is"


def test_a_stream_s_tokens_are_counted_by_its_usage(gateway: Gateway) -> None:
    first = ask(gateway, "stream", max_tokens=600, stream=True)
    second = ask(gateway, "stream", max_tokens=600, stream=True)
    assert [first.status_code, second.status_code] == [200, 200]
    before, after = (int(answer.headers["x-ratelimit-remaining-tokens"]) for answer in (first, second))
    assert after == before - USAGE["total_tokens"]


def test_what_no_engine_answered_costs_nothing(gateway: Gateway) -> None:
    assert [ask(gateway, "failing", "500", max_tokens=600).status_code for _ in range(4)] == [502] * 4
    assert ask(gateway, "failing", max_tokens=600).status_code == 200


def test_what_an_engine_refuses_was_asked_all_the_same(gateway: Gateway) -> None:
    answers = [ask(gateway, "refused", "400", max_tokens=600) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert code(answers[-1]) == "rate_limited"
    assert answers[1].headers["x-ratelimit-remaining-tokens"] == answers[0].headers["x-ratelimit-remaining-tokens"]


def test_who_leaves_in_the_middle_pays_for_what_went_out(gateway: Gateway) -> None:
    headers = {"authorization": "Bearer left"}
    body = {"model": "stall-midway", "stream": True, "max_tokens": 600, "messages": []}
    url = f"{gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200
        kept = int(answer.headers["x-ratelimit-remaining-tokens"])
        next(answer.iter_bytes())
    probe = lambda: ask(gateway, "left", "500", max_tokens=1)  # noqa: E731 - refunded, so that it can be asked again
    until(lambda: int(probe().headers["x-ratelimit-remaining-tokens"]) > 600, "what it did not use is free again")
    assert kept < 100
    assert int(probe().headers["x-ratelimit-remaining-tokens"]) < 700


def test_more_at_once_than_a_key_may_are_turned_away(gateway: Gateway, engine: Engine) -> None:
    engine.gate.clear()
    before = len(engine.of("gated"))
    with ThreadPoolExecutor() as pool:
        two = [pool.submit(ask, gateway, "parallel", "gated", wait=True) for _ in range(2)]
        until(lambda: len(engine.of("gated")) == before + 2, "two are with the engine")
        third = ask(gateway, "parallel", "gated")
        assert (third.status_code, code(third), third.headers["retry-after"]) == (429, "rate_limited", "1")
        engine.gate.set()
        assert [one.result(20).status_code for one in two] == [200, 200]
    assert ask(gateway, "parallel", "gated").status_code == 200


def test_of_many_at_once_exactly_the_limit_passes(engine: Engine, tmp_path: Path) -> None:
    document = {
        "upstreams": {"ok": {"url": engine.url("ok")}},
        "routes": {"ok": {"strategy": "direct", "upstream": "ok"}},
        "policies": {"dev-key": {"requests_per_minute": 4}},  # past a window's border one is let in after 15 s
    }
    routes = write_routes(tmp_path / "routes", {"all": document})
    gateway = Gateway(tmp_path, "--routes", str(routes)).wait()
    start = threading.Barrier(60)

    def one(_: int) -> int:
        start.wait()
        return gateway.ask("ok").status_code

    with ThreadPoolExecutor(60) as pool:
        statuses = list(pool.map(one, range(60)))
    assert (statuses.count(200), statuses.count(429)) == (4, 56)
    assert gateway.stop() == 0


def test_the_seed_s_limit_of_each_key_holds(tmp_path: Path) -> None:
    env = {
        "GATEWAY_UPSTREAMS": "mock=mock://local",
        "GATEWAY_API_KEYS": "dev-key,other-key",
        "GATEWAY_API_KEY_POLICIES": '{"other-key": {"rate_limit_per_minute": 2}}',
        "GATEWAY_RATE_LIMIT_PER_MINUTE": "4",
    }
    gateway = Gateway(tmp_path, env=env).wait()
    assert [gateway.ask("mock").status_code for _ in range(5)] == [200] * 4 + [429]
    other = {"authorization": "Bearer other-key"}
    assert [gateway.ask("mock", headers=other).status_code for _ in range(3)] == [200, 200, 429]
    assert gateway.stop() == 0


@pytest.mark.parametrize(("percent", "tokens"), [(100.0, 150), (10.0, 78), (0.0, 70)])
def test_cached_tokens_count_as_much_as_the_policy_says(percent: float, tokens: int) -> None:
    record = RequestRecord("POST", "/v1/chat/completions", "", 0.0)
    record.prompt_tokens, record.completion_tokens, record.cached_tokens = 100, 50, 80
    assert counted(PolicyFile(cached_tokens_percent=percent), record) == tokens
