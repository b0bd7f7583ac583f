"""Whose prompts an engine finds in its prefix cache again, and which hints about it reach the engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.prefix_cache import salt_of
from nexus_gateway.routes import parse

from ..support.caching_engine import PROMPT_TOKENS, CachingEngine
from ..support.gateway import PLAIN, Gateway, until, write_routes

BEGINNING = "the merger with Initech is planned for"
TENANTS = {"key-of-a": "team-a", "another-of-a": "team-a", "key-of-b": "team-b"}


@pytest.fixture(scope="module")
def engine() -> Iterator[CachingEngine]:
    running = CachingEngine()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(engine: CachingEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("prefix-cache")
    upstreams = {
        "apart": {"url": engine.url, "prefix_cache": "tenant"},
        "together": {"url": engine.url},
    }
    routes: dict[str, Any] = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    entries = [
        {"id": key, "digest": "sha256:" + hashlib.sha256(key.encode()).hexdigest(), "tenant": tenant}
        for key, tenant in TENANTS.items()
    ]
    (folder / "keys.yaml").write_text(json.dumps({"keys": entries}))
    files = write_routes(folder / "routes", {"all": {"upstreams": upstreams, "routes": routes}})
    running = Gateway(folder, "--routes", str(files), "--keys", str(folder / "keys.yaml")).wait()
    yield running
    assert running.stop() == 0


def ask(gateway: Gateway, key: str, path: str, model: str, prompt: str, raw: str = "", **more: Any) -> httpx.Response:
    said: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": prompt}]},
        "/v1/messages": {"messages": [{"role": "user", "content": prompt}], "max_tokens": 8},
        "/v1/completions": {"prompt": prompt},
        "/v1/responses": {"input": prompt},
    }
    text = json.dumps({"model": model, **said[path], **more})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return httpx.post(gateway.url + path, content=text[:-1] + raw + "}", headers=headers, timeout=30, verify=PLAIN)


def cached(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    found = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return int(found.get("cached_tokens", usage.get("cache_read_input_tokens", 0)))


PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")


@pytest.mark.parametrize("path", PATHS)
def test_a_tenant_finds_its_own_prompts_again_and_nobody_elses(gateway: Gateway, path: str) -> None:
    prompt = f"{BEGINNING} ({path})"
    assert cached(ask(gateway, "key-of-a", path, "apart", prompt)) == 0
    assert cached(ask(gateway, "key-of-b", path, "apart", prompt)) == 0, "what team-a has asked"
    assert cached(ask(gateway, "another-of-a", path, "apart", prompt)) == PROMPT_TOKENS, "its own tenant's"


def test_where_a_cache_is_shared_another_tenants_prompt_is_found(gateway: Gateway) -> None:
    """The fault that the test above looks for can be seen."""
    prompt = f"{BEGINNING} (shared)"
    assert cached(ask(gateway, "key-of-a", PATHS[0], "together", prompt)) == 0
    assert cached(ask(gateway, "key-of-b", PATHS[0], "together", prompt)) == PROMPT_TOKENS


@pytest.mark.parametrize(
    "forged",
    [
        ', "cache_salt": "{salt}"',
        ', "cache_salt": null',
        ', "cache\\u005fsalt": "{salt}"',
        ', "cache\\u005fsalt": null',
    ],
)
def test_no_client_gives_itself_another_tenants_cache(gateway: Gateway, engine: CachingEngine, forged: str) -> None:
    prompt = f"{BEGINNING} ({forged})"
    ask(gateway, "key-of-a", PATHS[0], "apart", prompt)
    salt = engine.bodies[-1]["cache_salt"]
    answer = ask(gateway, "key-of-b", PATHS[0], "apart", prompt, forged.replace("{salt}", salt))
    assert cached(answer) == 0
    assert engine.bodies[-1]["cache_salt"] not in (None, salt)


@pytest.mark.parametrize("named", [', "cache_salt": "{salt}"', ', "cache\\u005fsalt": "{salt}"'])
def test_no_client_gets_there_by_another_route_to_the_engine(gateway: Gateway, named: str) -> None:
    """Whoever knows a tenant's name can compute its salt."""
    prompt = f"{BEGINNING} (another route, {named})"
    ask(gateway, "key-of-a", PATHS[0], "apart", prompt)
    raw = named.replace("{salt}", salt_of("team-a", None))
    assert cached(ask(gateway, "key-of-b", PATHS[0], "together", prompt, raw)) == 0
    assert cached(ask(gateway, "key-of-b", PATHS[0], "together", prompt, raw)) == PROMPT_TOKENS, "its own"


def test_a_salt_that_stands_twice_is_refused(gateway: Gateway) -> None:
    answer = ask(gateway, "key-of-b", PATHS[0], "apart", BEGINNING, ', "cache_salt": "1", "cache_salt": "2"')
    assert (answer.status_code, "cache_salt" in answer.text) == (400, True)


def test_a_client_keeps_its_own_users_apart_within_its_tenant(gateway: Gateway) -> None:
    prompt = f"{BEGINNING} (users)"
    assert cached(ask(gateway, "key-of-a", PATHS[0], "apart", prompt, cache_salt="anna")) == 0
    assert cached(ask(gateway, "key-of-a", PATHS[0], "apart", prompt, cache_salt="bert")) == 0
    assert cached(ask(gateway, "key-of-a", PATHS[0], "apart", prompt, cache_salt="anna")) == PROMPT_TOKENS


def test_an_engine_is_not_told_who_the_tenant_is(gateway: Gateway, engine: CachingEngine) -> None:
    ask(gateway, "key-of-a", PATHS[0], "apart", BEGINNING)
    assert len(engine.bodies[-1]["cache_salt"]) == 64
    assert "team-a" not in json.dumps(engine.bodies[-1])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["apart", "together"])
def test_nobody_names_blocks_of_a_cache(gateway: Gateway, engine: CachingEngine, path: str, model: str) -> None:
    """By them a decode pod with NixlConnector reads whatever another pod keeps."""
    before = len(engine.bodies)
    stolen = {"remote_engine_id": "prefill-0", "remote_block_ids": [1, 2, 3], "remote_host": "10.0.0.7"}
    answer = ask(gateway, "key-of-b", path, model, BEGINNING, kv_transfer_params=stolen)
    assert (answer.status_code, "kv_transfer_params" in answer.text) == (400, True)
    assert len(engine.bodies) == before


@pytest.mark.parametrize("value", ["x", ["x"], {"remote_host": "10.0.0.7"}])
@pytest.mark.parametrize("field", ["kv_transfer_params", "ec_transfer_params"])
def test_nobody_names_them_by_vllms_extra_arguments(
    gateway: Gateway, engine: CachingEngine, field: str, value: Any
) -> None:
    """vLLM makes one thing of both, and a text, which it admits there, ends its engine."""
    before = len(engine.bodies)
    for said in ({"vllm_xargs": {field: value}}, {field: value}):
        answer = ask(gateway, "key-of-b", PATHS[0], "apart", BEGINNING, **said)
        assert (answer.status_code, field in answer.text) == (400, True)
    assert len(engine.bodies) == before


def test_other_extra_arguments_of_vllm_reach_it(gateway: Gateway, engine: CachingEngine) -> None:
    extras = {"vllm_xargs": {"own": "kv_transfer_params"}, "kv_transfer_params": None}
    assert ask(gateway, "key-of-b", PATHS[0], "apart", BEGINNING, **extras).status_code == 200
    assert engine.bodies[-1]["vllm_xargs"] == extras["vllm_xargs"]


def test_extra_arguments_that_stand_twice_are_refused(gateway: Gateway) -> None:
    raw = ', "vllm_xargs": {"kv_transfer_params": "x"}, "vllm_xargs": {}'
    assert ask(gateway, "key-of-b", PATHS[0], "apart", BEGINNING, raw).status_code == 400


def test_hints_of_the_apis_reach_an_engine_as_they_are(gateway: Gateway, engine: CachingEngine) -> None:
    hints = {"prompt_cache_key": "docs-7", "prompt_cache_retention": "24h", "user": "anna"}
    for path in ("/v1/chat/completions", "/v1/responses"):
        ask(gateway, "key-of-a", path, "together", BEGINNING, **hints)
        assert hints.items() <= engine.bodies[-1].items()
    marked = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    ask(gateway, "key-of-a", "/v1/messages", "together", BEGINNING, system=marked)
    assert (engine.paths[-1], engine.bodies[-1]["system"]) == ("/v1/messages", marked)


@pytest.mark.parametrize(
    ("upstream", "told"),
    [
        ({"url": "grpc://engine:9000"}, "for http:// and https://"),
        ({"url": "litellm://openai/gpt-5"}, "for http:// and https://"),
        ({"url": "http://engine", "apis": ["messages"]}, "makes messages of chat"),
    ],
)
def test_an_upstream_that_cannot_be_salted_is_refused(upstream: dict[str, Any], told: str) -> None:
    document = {"upstreams": {"one": {**upstream, "prefix_cache": "tenant"}}}
    with pytest.raises(ConfigRefused, match=told):
        parse("routes.yaml", json.dumps(document).encode())


def test_nothing_of_it_is_logged(gateway: Gateway, engine: CachingEngine) -> None:
    hints = {"cache_salt": "salt-of-anna", "prompt_cache_key": "hint-of-anna"}
    request = ask(gateway, "key-of-a", PATHS[0], "apart", BEGINNING, **hints).headers["x-request-id"]
    until(lambda: request in gateway.log.read_text(), "the request is logged")
    told = gateway.log.read_text()
    assert "salt-of-anna" not in told
    assert "hint-of-anna" not in told
    assert engine.bodies[-1]["cache_salt"] not in told
