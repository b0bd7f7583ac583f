"""What the variables of the process say, and what they cannot mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.settings import read_settings

from ..support.gateway import Gateway
from ..support.upstream import Engine


def test_the_seed_s_variables_build_the_same_routes(tmp_path: Path, engine: Engine) -> None:
    env = {
        "GATEWAY_UPSTREAMS": f"llama={engine.url('ok')};mock=mock://local;primary=mock://local;canary=mock://local",
        "GATEWAY_ROUTE_POLICIES": '{"chat": {"strategy":"canary","primary":"primary","canary":"canary","percent":5}}',
    }
    gateway = Gateway(tmp_path, env=env).wait()
    assert [m["id"] for m in gateway.get("/v1/models").json()["data"]] == ["canary", "chat", "llama", "mock", "primary"]
    assert [gateway.ask(model).status_code for model in ("llama", "mock", "chat")] == [200, 200, 200]
    assert gateway.stop() == 0


def test_the_seed_s_fallbacks_default_and_key_policies_are_read(tmp_path: Path, engine: Engine) -> None:
    env = {
        "GATEWAY_UPSTREAMS": f"llama={engine.url('500')};mock=mock://local;spare={engine.url('ok')}",
        "GATEWAY_DEFAULT_UPSTREAM": "spare",
        "GATEWAY_FALLBACKS": "llama=gpt-4o-mini,mock",
        "GATEWAY_API_KEYS": "dev-key,other-key",
        "GATEWAY_API_KEY_POLICIES": '{"other-key": {"allowed_models":["mock"], "rate_limit_per_minute": 30}}',
    }
    gateway = Gateway(tmp_path, env=env).wait()
    answer = gateway.ask("llama")
    assert (answer.status_code, answer.headers["x-fallback-model"]) == (200, "gpt-4o-mini")
    assert json.loads(engine.of("ok")[-1].body)["model"] == "gpt-4o-mini", "the default upstream answers for it"
    assert gateway.ask("unheard-of").headers["x-nexus-route"] == "default"
    other = {"authorization": "Bearer other-key"}
    assert gateway.ask("mock", headers=other).status_code == 200
    assert gateway.ask("llama", headers=other).status_code == 403
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_DEFAULT_UPSTREAM", "b"),
        ("GATEWAY_FALLBACKS", "a"),
        ("GATEWAY_FALLBACKS", "a=b"),
        ("GATEWAY_FALLBACKS", "a=a"),
        ("GATEWAY_API_KEY_POLICIES", '{"unknown-key": {}}'),
        ("GATEWAY_API_KEY_POLICIES", '{"dev-key": {"rate_limit": 1}}'),
        ("GATEWAY_API_KEY_POLICIES", '{"dev-key": {"rate_limit_per_minute": 0}}'),
        ("GATEWAY_RATE_LIMIT_PER_MINUTE", "many"),
        ("GATEWAY_PII_MASKING_ENABLED", "perhaps"),
        ("GATEWAY_UPSTREAMS", "llama"),
        ("GATEWAY_UPSTREAMS", "a=mock://local;a=mock://fail"),
        ("GATEWAY_UPSTREAMS", "a=ftp://x"),
        ("GATEWAY_ROUTE_POLICIES", "{"),
        ("GATEWAY_REQUEST_TIMEOUT_SECONDS", "soon"),
        ("GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES", "0"),
        ("GATEWAY_EDGE", "fast"),
        ("GATEWAY_IDEMPOTENCY_TTL_SECONDS", "0"),
        ("GATEWAY_IDEMPOTENCY_TTL_SECONDS", "1e300"),
        ("GATEWAY_RESPONSES_TTL_SECONDS", "2592001"),
        ("GATEWAY_IDEMPOTENCY_ENTRIES", "1.5"),
        ("GATEWAY_IDEMPOTENCY_FAIL_OPEN", "perhaps"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named(tmp_path: Path, name: str, value: str) -> None:
    gateway = Gateway(tmp_path, env={"GATEWAY_UPSTREAMS": "a=mock://local", name: value})
    assert gateway.process.wait(20) == 2
    said = gateway.log.read_text()
    assert name in said or any(
        place in said for place in ("ftp://x", "routes.default", "fallbacks", "policies.dev-key")
    )
    assert "unknown-key" not in said, "a key is not repeated"


def test_a_lease_that_a_slow_redis_would_outlast_is_refused() -> None:
    """Another gateway could take the claim while its holder extends it; in one process there is nobody to take it."""
    short = {"GATEWAY_IDEMPOTENCY_LEASE_SECONDS": "1.4"}
    with pytest.raises(ConfigRefused, match=r"GATEWAY_IDEMPOTENCY_LEASE_SECONDS: 1\.4: with Redis write 1\.5 or more"):
        read_settings({**short, "GATEWAY_REDIS_URL": "redis://localhost"})
    assert read_settings(short).idempotency.lease_seconds == 1.4
    long = {"GATEWAY_IDEMPOTENCY_LEASE_SECONDS": "1.5", "GATEWAY_REDIS_URL": "redis://localhost"}
    assert read_settings(long).idempotency.lease_seconds == 1.5
