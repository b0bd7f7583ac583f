"""Who may ask what."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from ..support.gateway import BIN, PLAIN, Gateway, code, direct, write_routes
from ..support.upstream import Engine

ADMIN, LIMITED = "key-of-an-admin", "key-of-team-a"


@pytest.fixture(scope="module")
def keyed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("keys")
    entries = [
        {"id": "boss", "digest": _digest(ADMIN), "scopes": ["admin"]},
        {"id": "team-a", "digest": _digest(LIMITED), "models": ["chat"]},
    ]
    (folder / "keys.yaml").write_text(yaml.safe_dump({"keys": entries}))
    routes = write_routes(folder / "routes", {n: direct(n, engine.url("ok")) for n in ("chat", "other")})
    running = Gateway(folder, "--routes", str(routes), "--keys", str(folder / "keys.yaml")).wait()
    yield running
    assert running.stop() == 0


def _digest(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def ask(gateway: Gateway, headers: list[tuple[str, str]], model: str = "chat") -> httpx.Response:
    body = json.dumps({"model": model, "messages": []})
    given = [*headers, ("content-type", "application/json")]
    return httpx.post(f"{gateway.url}/v1/chat/completions", content=body, headers=given, timeout=30, verify=PLAIN)


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", f"Bearer {LIMITED}")],
        [("authorization", f"bearer {LIMITED}")],
        [("x-api-key", LIMITED)],
        [("x-api-key", LIMITED), ("authorization", f"Bearer {LIMITED}")],
    ],
    ids=["bearer", "scheme in any case", "x-api-key", "the same key twice"],
)
def test_either_header_is_taken(keyed: Gateway, headers: list[tuple[str, str]]) -> None:
    assert ask(keyed, headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer")],
        [("authorization", "Bearer wrong")],
        [("authorization", f"Bearer {LIMITED[:-1]}")],
        [("authorization", f"Basic {LIMITED}")],
        [("authorization", LIMITED)],
        [("authorization", f"Bearer {_digest(LIMITED)}")],
        [("x-api-key", LIMITED), ("x-api-key", ADMIN)],
        [("x-api-key", LIMITED), ("authorization", f"Bearer {ADMIN}")],
        [("cookie", f"key={LIMITED}")],
        [("x-forwarded-user", "boss")],
    ],
    ids=["none", "empty", "wrong", "cut", "another scheme", "no scheme", "the digest itself", "two keys",
         "two keys in two headers", "cookie", "forwarded user"],
)  # fmt: skip
def test_every_other_credential_is_refused_in_the_same_words(keyed: Gateway, headers: list[tuple[str, str]]) -> None:
    answer = ask(keyed, headers)
    assert (answer.status_code, code(answer)) == (401, "invalid_api_key")
    assert answer.json()["error"]["message"] == "no credential, a wrong one, or two that differ"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_model_outside_the_key_s_policy_is_403_whether_it_exists_or_not(keyed: Gateway) -> None:
    for model in ("other", "no-such-model"):
        answer = ask(keyed, [("x-api-key", LIMITED)], model)
        assert (answer.status_code, code(answer)) == (403, "model_not_allowed")


def test_models_are_listed_by_key(keyed: Gateway) -> None:
    listed = {key: [m["id"] for m in keyed.get("/v1/models", key).json()["data"]] for key in (ADMIN, LIMITED)}
    assert listed == {ADMIN: ["chat", "other"], LIMITED: ["chat"]}


@pytest.mark.parametrize("path", ["/admin/config", "/v1/circuit-breakers"])
def test_admin_pages_want_the_scope(keyed: Gateway, path: str) -> None:
    assert [keyed.get(path, key).status_code for key in (ADMIN, LIMITED, "wrong", None)] == [200, 403, 401, 401]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_are_open(keyed: Gateway, path: str) -> None:
    assert keyed.get(path, None).status_code == 200


def test_a_new_key_is_shown_once_and_its_entry_works(tmp_path: Path, engine: Engine) -> None:
    printed = subprocess.run(
        [str(BIN / "nexus-gateway"), "keys", "new", "--id", "ci", "--model", "chat"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    key = printed.splitlines()[0].rsplit(" ", 1)[1]
    (tmp_path / "keys.yaml").write_text(printed)
    assert key not in yaml.safe_dump(yaml.safe_load(printed))
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", engine.url("ok"))})
    gateway = Gateway(tmp_path, "--routes", str(routes), "--keys", str(tmp_path / "keys.yaml")).wait()
    assert ask(gateway, [("x-api-key", key)]).status_code == 200
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("flags", "env", "said"),
    [
        (["--host", "0.0.0.0"], {}, "is not loopback"),
        (["--host", "0.0.0.0"], {"GATEWAY_API_KEYS": "dev-key"}, "dev-key is for loopback"),
        ([], {"GATEWAY_API_KEYS": "[1]"}, "GATEWAY_API_KEYS"),
        ([], {"GATEWAY_API_KEYS": " , "}, "holds no key"),
        (["--keys", "keys.yaml"], {"GATEWAY_API_KEYS": "one"}, "both give keys"),
        (["--keys", "keys.yaml"], {}, "no such file"),
    ],
)
def test_keys_that_cannot_be_meant_stop_the_start(
    tmp_path: Path, flags: list[str], env: dict[str, str], said: str
) -> None:
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(tmp_path, "--routes", str(routes), *flags, env=env)
    assert gateway.process.wait(60) == 2
    assert said in gateway.log.read_text().lower() or said in gateway.log.read_text()


@pytest.mark.parametrize("text", ["one", "one,two", '["one", "two"]'])
def test_keys_of_the_environment_in_each_of_the_seed_s_forms(tmp_path: Path, text: str) -> None:
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(tmp_path, "--routes", str(routes), env={"GATEWAY_API_KEYS": text}).wait()
    assert ask(gateway, [("x-api-key", "one")]).status_code == 200
    assert ask(gateway, [("x-api-key", "dev-key")]).status_code == 401
    assert gateway.stop() == 0
