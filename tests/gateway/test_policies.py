"""What a policy lets a caller ask for, and who goes first where an engine is full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nexus_gateway.keys import digest

from ..support.gateway import Gateway, code, until, write_routes
from ..support.upstream import Engine

KEYS = {"small": "key-small", "plain": "key-plain", "high": "key-high", "low": "key-low"}


@pytest.fixture(scope="module")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("policies")
    entries = [{"id": name, "digest": f"sha256:{digest(key.encode()).hex()}"} for name, key in KEYS.items()]
    (folder / "keys.yaml").write_text(yaml.safe_dump({"keys": entries}))
    document = {
        "upstreams": {
            "ok": {"url": engine.url("ok")},
            "one": {"url": engine.url("gated"), "max_parallel": 1, "queue_seconds": 20},
            "busy": {"url": engine.url("gated"), "max_parallel": 1, "queue_seconds": 0.2},
        },
        "routes": {
            "chat": {"strategy": "direct", "upstream": "ok"},
            "one": {"strategy": "direct", "upstream": "one", "timeouts": {"first_byte_seconds": 20}},
            "busy": {"strategy": "direct", "upstream": "busy", "timeouts": {"first_byte_seconds": 20}},
            "spare": {"strategy": "direct", "upstream": "busy", "fallbacks": ["chat"]},
        },
        "policies": {
            "small": {"models": ["chat"], "max_tokens": 50, "passthrough": ["top_k"]},
            "high": {"priority": 90},
            "low": {"priority": 10},
        },
    }
    routes = write_routes(folder / "routes", {"all": document})
    running = Gateway(folder, "--routes", str(routes), "--keys", str(folder / "keys.yaml")).wait()
    yield running
    assert running.stop() == 0


def ask(gateway: Gateway, key: str, model: str = "chat", **body: Any) -> httpx.Response:
    return gateway.ask(model, headers={"authorization": f"Bearer {KEYS[key]}"}, **body)


def test_a_policy_names_the_models_of_a_key(gateway: Gateway) -> None:
    answer = ask(gateway, "small", "one")
    assert (answer.status_code, code(answer)) == (403, "model_not_allowed")
    listed = gateway.get("/v1/models", KEYS["small"]).json()["data"]
    assert [model["id"] for model in listed] == ["chat"]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_longer_answer_than_the_policy_allows_is_refused(gateway: Gateway, field: str) -> None:
    answer = ask(gateway, "small", **{field: 51})
    assert (answer.status_code, code(answer)) == (400, "too_many_tokens")
    assert "51 is above this key's 50" in answer.json()["error"]["message"]
    assert ask(gateway, "small", **{field: 50}).status_code == 200


def test_who_does_not_say_how_long_gets_the_policy_s_bound(gateway: Gateway, engine: Engine) -> None:
    assert ask(gateway, "small").status_code == 200
    assert json.loads(engine.of("ok")[-1].body)["max_tokens"] == 50
    assert ask(gateway, "plain").status_code == 200
    assert "max_tokens" not in json.loads(engine.of("ok")[-1].body)


@pytest.mark.parametrize("fields", [{"max_tokens": None}, {"max_completion_tokens": None}])
def test_a_bound_that_is_null_is_none_and_does_not_stand_beside_the_policy_s(
    gateway: Gateway, engine: Engine, fields: dict[str, Any]
) -> None:
    assert ask(gateway, "small", **fields).status_code == 200
    sent = engine.of("ok")[-1].body
    assert json.loads(sent)["max_tokens"] == 50
    assert (sent.count(b"max_tokens"), sent.count(b"max_completion_tokens")) == (1, 0)


@pytest.mark.parametrize("value", [-1, 1.5, "10", True, 1 << 40])
def test_a_bound_that_is_no_count_is_refused(gateway: Gateway, value: object) -> None:
    answer = ask(gateway, "plain", max_tokens=value)
    assert (answer.status_code, code(answer)) == (400, "invalid_body")


def test_a_field_that_the_policy_does_not_pass_on_is_refused(gateway: Gateway, engine: Engine) -> None:
    before = len(engine.of("ok"))
    answer = ask(gateway, "small", chat_template_kwargs={"a": 1})
    assert (answer.status_code, code(answer)) == (400, "field_not_allowed")
    assert "chat_template_kwargs" in answer.json()["error"]["message"]
    assert len(engine.of("ok")) == before
    assert ask(gateway, "small", top_k=3, temperature=0.1).status_code == 200
    assert ask(gateway, "plain", chat_template_kwargs={"a": 1}).status_code == 200


def test_where_an_engine_is_full_the_higher_priority_goes_first(gateway: Gateway, engine: Engine) -> None:
    engine.gate.clear()
    before = len(engine.of("gated"))

    def queued(number: int) -> None:
        until(lambda: f'gateway_queue_depth{{upstream="one"}} {number}.0' in gateway.get("/metrics").text, "it waits")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, gateway, "plain", "one", wait=True)
        until(lambda: len(engine.of("gated")) == before + 1, "one is with the engine")
        late: list[Future[httpx.Response]] = []
        for number, key in enumerate(("low", "plain", "high"), 1):
            late.append(pool.submit(ask, gateway, key, "one", user=key))
            queued(number)
        engine.gate.set()
        assert [one.result(20).status_code for one in (first, *late)] == [200] * 4
    order = [json.loads(seen.body)["user"] for seen in engine.of("gated")[before + 1 :]]
    assert order == ["high", "plain", "low"]


def test_who_waits_too_long_is_told_so_or_answered_by_another_model(gateway: Gateway, engine: Engine) -> None:
    engine.gate.clear()
    before = len(engine.of("gated"))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, gateway, "plain", "busy", wait=True)
        until(lambda: len(engine.of("gated")) == before + 1, "one is with the engine")
        answer = ask(gateway, "plain", "busy")
        assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert ask(gateway, "plain", "spare").headers["x-fallback-model"] == "chat"
        engine.gate.set()
        assert first.result(20).status_code == 200
    assert ask(gateway, "plain", "busy").status_code == 200, "its place is free again"


def test_who_leaves_the_queue_leaves_no_place_taken(gateway: Gateway, engine: Engine, tmp_path: Path) -> None:
    engine.gate.clear()
    before = len(engine.of("gated"))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, gateway, "plain", "one", wait=True)
        until(lambda: len(engine.of("gated")) == before + 1, "one is with the engine")
        headers = {"authorization": f"Bearer {KEYS['plain']}"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": "one"}, headers=headers, timeout=0.3)
        until(lambda: 'gateway_queue_depth{upstream="one"} 0.0' in gateway.get("/metrics").text, "nobody waits")
        engine.gate.set()
        assert first.result(20).status_code == 200
    assert ask(gateway, "plain", "one").status_code == 200
    assert len(engine.of("gated")) == before + 2
