"""What the console asks the gateway for: by which key, with which answer, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.console.checkout import Checkout
from nexus_gateway.console.prices import prices_of
from nexus_gateway.console.settings import ConsoleSettings
from nexus_gateway.console.shell import FOLDER
from nexus_gateway.settings import read_settings
from nexus_release.config import load_settings
from nexus_release.local.free_ports import free_port
from nexus_release.prices import pod_hour
from nexus_release.record import record_path

from ..support.gateway import PLAIN, RELEASE, Gateway, code, until, write_routes
from ..support.gateway_command import command
from ..support.redis_server import RedisServer
from ..support.releases import MODELS, make_plan, make_pointer, make_record, plant_repository
from ..support.repository import ROOT

MODEL = MODELS[0]
STABLE, CANARY = (make_pointer(make_record(MODEL, seed)).release for seed in (1, 2))
ADMIN = [
    *("/admin/routes", "/admin/explain?model=chat", "/admin/releases", "/admin/canaries", "/admin/prices"),
    f"/admin/releases/{STABLE}",
]
ROUTES = {
    "chat": {
        "upstreams": {
            "one": {"url": "mock://one", "release": RELEASE},
            "two": {"url": "mock://two"},
            "named": {"service": "http://localhost:1"},
        },
        "routes": {
            "chat": {
                "strategy": "canary",
                "primary": "one",
                "canary": "two",
                "percent": 12.5,
                "match": [{"header": "x-try", "value": "two", "upstream": "two"}],
                "fallbacks": ["spare"],
            },
            "pods": {"strategy": "direct", "upstream": "named"},
            "spare": {"strategy": "direct", "upstream": "two"},
        },
        "policies": {
            "dev-key": {"requests_per_minute": 50, "tokens_per_minute": 9000, "models": ["chat"]},
            "search": {"max_tokens": 64},
        },
    }
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    plant_repository(root, "local", "canary")
    return root


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    environment = {
        "GATEWAY_CONSOLE_CHECKOUT": str(checkout),
        "GATEWAY_CONSOLE_ENVIRONMENT": "local",
        "GATEWAY_API_KEYS": "dev-key,narrow-key",
    }
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", ROUTES)), env=environment).wait()
    yield running
    assert running.stop() == 0


# --- the shell --------------------------------------------------------------------------------------------------------


def test_the_page_is_open_and_runs_what_is_its_own_alone(gateway: Gateway) -> None:
    answer = gateway.get("/", key=None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert answer.content == (FOLDER / "index.html").read_bytes(), "the same for everybody: it has no data"


def test_every_file_of_it_is_served_with_its_kind_and_its_tag(gateway: Gateway) -> None:
    kinds = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for path in (path for path in FOLDER.rglob("*") if path.suffix in kinds):
        address = f"/console/{path.relative_to(FOLDER).as_posix()}"
        answer = gateway.get(address, key=None)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"].startswith(kinds[path.suffix])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content == path.read_bytes()
        headers = {"if-none-match": f'"other", {answer.headers["etag"]}'}
        again = httpx.get(gateway.url + address, headers=headers, timeout=30, verify=PLAIN)
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/console/../settings.py", "/console/%2e%2e/settings.py", "/console/index.html"])
def test_no_other_file_is_served(gateway: Gateway, path: str) -> None:
    answer = httpx.get(httpx.URL(gateway.url).copy_with(raw_path=path.encode()), timeout=30, verify=PLAIN)
    assert (answer.status_code, code(answer)) == (404, "page_not_found")


def test_a_gateway_with_a_port_for_operators_has_the_page_on_both(tmp_path: Path) -> None:
    port = free_port()
    routes = write_routes(tmp_path / "routes", ROUTES)
    running = Gateway(tmp_path, "--routes", str(routes), "--admin-port", str(port)).wait()

    def status(at: int, path: str) -> int:
        headers = {"authorization": "Bearer dev-key"}
        return httpx.get(f"http://127.0.0.1:{at}{path}", headers=headers, timeout=30, verify=PLAIN).status_code

    asked = ("/", "/console/console.js", "/v1/limits", "/admin/routes")
    assert [status(running.port, path) for path in asked] == [200, 200, 200, 404]
    assert [status(port, path) for path in asked] == [200, 200, 404, 200]
    assert running.stop() == 0


def test_a_gateway_without_the_console_has_no_page(tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", ROUTES)
    running = Gateway(tmp_path, "--routes", str(routes), env={"GATEWAY_CONSOLE": "false"}).wait()
    for path in ("/", "/console/console.js"):
        assert code(running.get(path, key=None)) == "page_not_found"
    assert running.stop() == 0


# --- by which key -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ADMIN)
def test_what_is_not_everybody_s_wants_the_scope_admin(gateway: Gateway, path: str) -> None:
    assert code(gateway.get(path, key=None)) == "invalid_api_key"
    assert code(gateway.get(path, key="narrow-key")) == "missing_scope"
    assert gateway.get(path).status_code == 200


# --- what is told -----------------------------------------------------------------------------------------------------


def test_routes_are_told_with_their_shares_rules_and_engines(gateway: Gateway) -> None:
    told = gateway.get("/admin/routes").json()
    assert told["revision"] == gateway.config()["revision"]
    chat, _, spare = told["routes"]
    assert chat["targets"] == [{"upstream": "one", "percent": 87.5}, {"upstream": "two", "percent": 12.5}]
    assert chat["matches"] == [{"header": "x-try", "value": "two", "upstream": "two"}]
    assert (chat["fallbacks"], spare["targets"]) == (["spare"], [{"upstream": "two", "percent": 100.0}])
    assert told["upstreams"]["one"]["release"] == RELEASE
    (endpoint,) = told["upstreams"]["two"]["endpoints"]
    assert (endpoint["state"], endpoint["well"], endpoint["in_flight"]) == ("closed", True, 0)


def test_each_address_of_a_service_is_told_apart(gateway: Gateway) -> None:
    def told() -> list[tuple[str, str]]:
        found = gateway.get("/admin/routes").json()["upstreams"]["named"]["endpoints"]
        return [(one["url"], one["address"]) for one in found]

    until(lambda: ("http://localhost:1", "127.0.0.1:1") in told(), "its name has been asked for")
    assert len({address for _, address in told()}) == len(told())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            {"model": "chat", "key": "search", "session": "42"},
            ["--model", "chat", "--key", "search", "--session", "42"],
        ),
        (
            {"model": "chat", "key": "search", "header": "x-other=one, two;q=0.5"},
            ["--model", "chat", "--key", "search", "--header", "x-other=one, two;q=0.5"],
        ),
        (
            {"model": "chat", "key": "search", "header": "x-try=two", "open": "one"},
            ["--model", "chat", "--key", "search", "--header", "x-try=two", "--open", "one"],
        ),
        ({"model": "none", "subject": "a"}, ["--model", "none", "--subject", "a"]),
        (
            {"model": "chat", "key": "x", "api": "responses", "max_tokens": "9"},
            ["--model", "chat", "--key", "x", "--api", "responses", "--max-tokens", "9"],
        ),
    ],
)
def test_explain_tells_what_the_command_tells(
    gateway: Gateway, tmp_path: Path, query: dict[str, str], words: list[str]
) -> None:
    routes = write_routes(tmp_path / "routes", ROUTES)
    told = httpx.get(
        f"{gateway.url}/admin/explain", params=query, headers={"x-api-key": "dev-key"}, timeout=30, verify=PLAIN
    ).json()
    assert told["told"] == command("explain", routes, *words, "--json").told
    assert told["lines"] == command("explain", routes, *words).out.splitlines()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "model"),
        ("model=chat&model=spare", "model: stands twice"),
        ("model=chat&modle=x", "modle"),
        ("model=chat&api=graphql", "api"),
        ("model=chat&max_tokens=-1", "max_tokens"),
        ("model=chat&header=novalue", "header"),
        ("model=chat&header=x-try=", "header"),
        ("model=chat&header=x-try=two%0Ax-other=one", "header"),
        ("model=" + "a" * 200, "model"),
    ],
)
def test_a_query_that_is_none_is_refused_by_its_name(gateway: Gateway, query: str, named: str) -> None:
    answer = gateway.get(f"/admin/explain?{query}")
    assert (answer.status_code, code(answer)) == (400, "invalid_query")
    assert named in answer.json()["error"]["message"]


def test_limits_left_are_told_and_looking_takes_nothing(gateway: Gateway) -> None:
    def left() -> dict[str, Any]:
        told = gateway.get("/v1/limits").json()
        assert (told["key_id"], told["policy"], told["admin"]) == ("dev-key", "policies.dev-key", True)
        assert told["limits"] == {"requests": 50, "tokens": 9000, "parallel": None}
        found: dict[str, Any] = told["left"]
        return found

    assert (
        left()
        == left()
        == {
            "requests": {"limit": 50, "remaining": 50, "reset": 0},
            "tokens": {"limit": 9000, "remaining": 9000, "reset": 0},
        }
    )
    answer = gateway.ask("chat")
    assert answer.status_code == 200
    after = left()
    assert after["requests"]["remaining"] == 49
    assert after["tokens"]["remaining"] < 9000
    unlimited = gateway.get("/v1/limits", key="narrow-key").json()
    assert (unlimited["left"], unlimited["policy"]) == ({"requests": None, "tokens": None}, None)
    assert gateway.get("/v1/limits", key=None).status_code == 401


@pytest.mark.services
def test_limits_left_are_those_of_all_gateways_and_looking_takes_nothing_in_redis_either(tmp_path: Path) -> None:
    """Of a limit so large that Redis lends some of it to a gateway that asks."""
    document = {**ROUTES["chat"], "policies": {"dev-key": {"requests_per_minute": 100_000}}}
    server = RedisServer(tmp_path).start()
    flags = ("--routes", str(write_routes(tmp_path / "routes", {"chat": document})))
    env = {"GATEWAY_REDIS_URL": server.url, "GATEWAY_REDIS_DEADLINE_SECONDS": "60"}  # after it each counts for itself
    running = Gateway(tmp_path, *flags, env=env).wait()
    try:
        for _ in range(20):
            told = running.get("/v1/limits").json()
            assert told["left"] == {"requests": {"limit": 100_000, "remaining": 100_000, "reset": 0}, "tokens": None}
        assert server.keys() == []
        assert running.ask("chat").status_code == 200
        until(
            lambda: running.get("/v1/limits").json()["left"]["requests"]["remaining"] == 99_999,
            "what was lent and not used is given back",
        )
    finally:
        assert running.stop() == 0
        server.kill()


def test_releases_are_told_the_newest_first_with_where_they_are(gateway: Gateway) -> None:
    told = gateway.get("/admin/releases").json()
    assert (told["problem"], told["environment"], len(told["releases"])) == (None, "local", 6)
    places = {one["release"]: one["places"] for one in told["releases"]}
    assert places[STABLE] == [{"environment": "local", "role": "stable", "weight": None}]
    assert places[CANARY] == [{"environment": "local", "role": "canary", "weight": 20}]
    one = gateway.get(f"/admin/releases/{CANARY}").json()
    assert [gate["gate"] for gate in one["gates"]] == ["data", "fit", "artifact", "quality"]
    (perplexity,) = one["gates"][3]["figures"]
    assert (perplexity["value"], perplexity["most"], perplexity["passed"]) == ("0.00986", "0.05", True)


@pytest.mark.parametrize("name", ["0" * 64, "..", "%2e%2e%2f", "a"])
def test_a_release_that_is_not_there_is_404(gateway: Gateway, name: str) -> None:
    key = {"x-api-key": "dev-key"}
    answer = httpx.get(f"{gateway.url}/admin/releases/{name}", headers=key, timeout=30, verify=PLAIN)
    assert answer.status_code == 404
    assert code(answer) in ("release_not_found", "page_not_found")


def test_canaries_are_told_with_the_steps_that_the_environment_declares(gateway: Gateway, checkout: Path) -> None:
    told = gateway.get("/admin/canaries").json()
    policy = load_settings(checkout, "local").canary
    assert (told["steps"], told["then"]) == (list(policy.steps), policy.then)
    weights = {one["model"]: (one["stable"], one["canary"], one["weight"]) for one in told["canaries"]}
    assert set(weights) == set(MODELS)
    assert weights[MODEL] == (STABLE, CANARY, 20) == (make_plan(MODEL, "canary").stable.release, CANARY, 20)


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "prod"])
def test_a_place_costs_what_the_release_side_reckons(environment: str) -> None:
    found = prices_of(Checkout(ConsoleSettings(checkout=ROOT, environment=environment)))
    settings = load_settings(ROOT, environment)
    assert found is not None
    assert found.place_hour == pod_hour(settings, settings.gpu.count) / settings.serving.concurrency
    assert found.currency == settings.prices.currency
    weights = settings.prices.token_weights.model_dump()
    assert {name: str(weight) for name, weight in found.token_weights.items()} == weights


def test_a_file_that_cannot_be_read_is_named_and_stops_nothing_else(gateway: Gateway, checkout: Path) -> None:
    path = checkout / record_path(MODEL, STABLE)
    sound = path.read_text()
    try:
        path.write_text(sound.replace('"rows": 4211', '"rows": "many"'))
        for address in ("/admin/releases", f"/admin/releases/{STABLE}"):
            answer = gateway.get(address)
            assert (answer.status_code, code(answer)) == (503, "checkout_unreadable")
            assert f"{STABLE}.json: content.dataset.rows" in answer.json()["error"]["message"]
        assert gateway.get("/admin/canaries").status_code == 200
    finally:
        path.write_text(sound)
    assert gateway.get("/admin/releases").status_code == 200


@pytest.mark.parametrize(
    ("file", "text", "address", "said"),
    [
        ("environments/local/settings.yaml", "- canary\n", "canaries", "settings.yaml: no settings"),
        ("environments/local/settings.yaml", "canary: [1]\n", "canaries", "environments/local: canary"),
        ("environments/local/settings.yaml", "canary: {steps: many}\n", "canaries", "environments/local: canary.steps"),
        ("environments/local/settings.yaml", "prices: 1\n", "prices", "environments/local: prices"),
        ("environments/local/settings.yaml", "[" * 5000, "prices", "settings.yaml: no YAML"),
        (record_path(MODEL, STABLE), "[" * 100_000, "releases", f"{STABLE}.json: no JSON"),
    ],
    ids=["list", "section", "steps", "prices", "deep-yaml", "deep-json"],
)
def test_a_file_of_another_form_is_named_too(
    gateway: Gateway, checkout: Path, file: str, text: str, address: str, said: str
) -> None:
    path = checkout / file
    sound = path.read_text()
    try:
        path.write_text(text)
        answer = gateway.get(f"/admin/{address}")
        assert (answer.status_code, code(answer)) == (503, "checkout_unreadable")
        assert said in answer.json()["error"]["message"]
    finally:
        path.write_text(sound)


def test_without_a_checkout_everything_is_empty_and_says_why(tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", ROUTES)
    away = str(tmp_path / "not-mounted-yet")
    running = Gateway(tmp_path, "--routes", str(routes), env={"GATEWAY_CONSOLE_CHECKOUT": away}).wait()
    for path, empty in (("releases", "releases"), ("canaries", "canaries"), ("prices", "prices")):
        told = running.get(f"/admin/{path}").json()
        assert not told[empty]
        assert told["problem"] == f"GATEWAY_CONSOLE_CHECKOUT: {away} has no folder gitops/"
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"GATEWAY_CONSOLE": "perhaps"}, "GATEWAY_CONSOLE: 'perhaps': write true or false"),
        ({"GATEWAY_CONSOLE_ENVIRONMENT": "prod"}, "set GATEWAY_CONSOLE_CHECKOUT too"),
        (
            {"GATEWAY_CONSOLE_CHECKOUT": "/", "GATEWAY_CONSOLE_ENVIRONMENT": "../prod"},
            "GATEWAY_CONSOLE_ENVIRONMENT: '../prod'",
        ),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_at_the_start(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        read_settings(environ)
    assert said in str(refused.value)
