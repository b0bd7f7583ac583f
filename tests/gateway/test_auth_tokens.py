"""Signed tokens at the front door: who they open for, and what they are held to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.gateway import PLAIN, Gateway, code, until, write_routes
from ..support.issuer import Issuer, published
from ..support.tokens import AUDIENCE, ISSUER, SECRET, by_rsa, by_secret, jwk, key_set, public_pem, rsa_key
from ..support.upstream import Engine
from ..support.web import Reply


def claims(**more: Any) -> dict[str, Any]:
    now = time.time()
    return {"exp": now + 600, "nbf": now - 5, "iat": now - 5, **more}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with published(Reply(key_set(jwk("k1")))) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(engine: Engine, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """All three kinds at once, before routes of files."""
    folder = tmp_path_factory.mktemp("tokens")
    document = {
        "upstreams": {"ok": {"url": engine.url("ok")}},
        "routes": {name: {"strategy": "direct", "upstream": "ok"} for name in ("chat", "other")},
        "subjects": {"team-b": {"models": ["other"]}, "slow": {"requests_per_minute": 1}},
    }
    env = {
        "GATEWAY_JWT_SECRET": SECRET.decode(),
        "GATEWAY_JWT_PUBLIC_KEY": public_pem(rsa_key("pem")).decode(),
        "GATEWAY_JWT_JWKS_URL": f"{issuer.web.url}/jwks",
        "GATEWAY_JWT_ISSUER": ISSUER,
        "GATEWAY_JWT_AUDIENCE": AUDIENCE,
    }
    routes = write_routes(folder / "routes", {"all": document})
    running = Gateway(folder, "--routes", str(routes), env=env).wait()
    until(lambda: "gateway_jwks_keys 1.0" in running.get("/metrics").text, "the issuer's keys are there")
    yield running
    assert running.stop() == 0


def ask(gateway: Gateway, token: bytes, model: str = "chat", header: str = "authorization") -> httpx.Response:
    text = token.decode()
    value = f"Bearer {text}" if header == "authorization" else text
    url, body = f"{gateway.url}/v1/chat/completions", {"model": model, "messages": []}
    return httpx.post(url, json=body, headers={header: value}, timeout=30, verify=PLAIN)


@pytest.mark.parametrize(
    "make",
    [
        lambda payload: by_secret(payload=payload),
        lambda payload: by_rsa(payload=payload),
        lambda payload: by_rsa({"kid": "k1"}, payload, key="k1"),
    ],
    ids=["HS256", "RS256 by PEM", "RS256 by JWKS"],
)
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_each_kind_of_token_opens_the_models_that_it_names(gateway: Gateway, make: Any, header: str) -> None:
    token = make(claims(models=["chat"]))
    assert ask(gateway, token, "chat", header).status_code == 200
    assert code(ask(gateway, token, "other", header)) == "model_not_allowed"


@pytest.mark.parametrize(
    "token",
    [
        lambda: by_secret(payload=claims(exp=time.time() - 60)),
        lambda: by_secret(payload=claims(aud="another")),
        lambda: by_secret(payload=claims(iss="https://issuer.test")),
        lambda: by_secret({"alg": "none"}, claims()),
        lambda: by_secret({"alg": "RS256"}, claims()),
        lambda: by_secret(payload=claims(), secret=public_pem(rsa_key("pem"))),
        lambda: by_rsa({"kid": "unknown"}, claims(), key="k2"),
        lambda: by_rsa({"kid": "k1"}, claims(), key="k2"),
        lambda: by_secret(payload=claims())[:-4] + b"AAAA",
        lambda: b"a.b.c",
    ],
    ids=["past", "audience", "issuer", "none", "algorithm", "confusion", "kid", "forged", "cut", "garbage"],
)
def test_every_bad_token_is_one_and_the_same_401(gateway: Gateway, token: Any) -> None:
    answer = ask(gateway, token())
    assert (answer.status_code, code(answer)) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == 'Bearer realm="nexus"'
    assert answer.json()["error"]["message"] == ask(gateway, b"no-such-key").json()["error"]["message"]


def test_a_token_and_a_key_at_once_are_refused(gateway: Gateway) -> None:
    token = by_secret(payload=claims(models=["chat"])).decode()
    headers = {"authorization": f"Bearer {token}", "x-api-key": "dev-key"}
    url, body = f"{gateway.url}/v1/chat/completions", {"model": "chat"}
    answer = httpx.post(url, json=body, headers=headers, timeout=30, verify=PLAIN)
    assert answer.status_code == 401


def test_without_a_claim_of_models_the_subject_s_policy_names_them_or_there_are_none(gateway: Gateway) -> None:
    assert ask(gateway, by_secret(payload=claims(sub="team-b")), "other").status_code == 200
    assert ask(gateway, by_secret(payload=claims(sub="team-b")), "chat").status_code == 403
    assert ask(gateway, by_secret(payload=claims(sub="nobody")), "chat").status_code == 403
    both = by_secret(payload=claims(sub="team-b", models=["chat"]))
    assert [ask(gateway, both, model).status_code for model in ("chat", "other")] == [403, 403], "both must allow it"


def test_a_subject_s_limit_holds_over_all_its_tokens(gateway: Gateway) -> None:
    first, second = (by_secret(payload=claims(sub="slow", jti=name)) for name in ("1", "2"))
    assert [ask(gateway, token).status_code for token in (first, second)] == [200, 429]


def test_a_token_lists_its_models_and_is_no_administrator_s(gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {by_secret(payload=claims(models=['chat'], admin=True)).decode()}"}
    listed = httpx.get(f"{gateway.url}/v1/models", headers=headers, timeout=30, verify=PLAIN).json()["data"]
    assert [model["id"] for model in listed] == ["chat"]
    assert httpx.get(f"{gateway.url}/admin/config", headers=headers, timeout=30, verify=PLAIN).status_code == 403


def test_a_key_that_the_issuer_has_just_published_is_fetched(engine: Engine, tmp_path: Path) -> None:
    with published(Reply(b"", 500)) as issuer:
        env = {"GATEWAY_JWT_JWKS_URL": f"{issuer.web.url}/jwks", "GATEWAY_UPSTREAMS": f"chat={engine.url('ok')}"}
        gateway = Gateway(tmp_path, env=env).wait()
        token = by_rsa({"kid": "k1"}, claims(iss=..., aud=...), key="k1")
        assert ask(gateway, token).status_code == 401, "it starts without the issuer, and takes no token then"
        assert gateway.ask("chat").status_code == 200, "and keys open as ever"
        assert gateway.stop() == 0


def test_in_environment_mode_a_token_without_models_opens_all_with_the_limit_of_each_key(
    engine: Engine, tmp_path: Path
) -> None:
    env = {
        "GATEWAY_JWT_SECRET": SECRET.decode(),
        "GATEWAY_UPSTREAMS": f"chat={engine.url('ok')}",
        "GATEWAY_RATE_LIMIT_PER_MINUTE": "2",
    }
    gateway = Gateway(tmp_path, env=env).wait()
    token = by_secret(payload=claims(iss=..., aud=...))
    assert [ask(gateway, token).status_code for _ in range(3)] == [200, 200, 429]
    assert gateway.stop() == 0
    logged = gateway.log.read_text()
    assert token.decode() not in logged
    assert "team-a" not in logged, "a subject may be a person"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_JWT_SECRET", "short"),
        ("GATEWAY_JWT_PUBLIC_KEY", "no PEM"),
        ("GATEWAY_JWT_JWKS_URL", "http://issuer.test/jwks"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    gateway = Gateway(tmp_path, env={"GATEWAY_UPSTREAMS": "a=mock://local", name: value})
    assert gateway.process.wait(60) == 2
    assert name in gateway.log.read_text()
