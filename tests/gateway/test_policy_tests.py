"""`nexus-gateway policy-test`: what is asserted of callers is held over every way through the routes."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ..support.decision_log import PATH, Repository
from ..support.gateway import BIN, Gateway, code, write_routes
from ..support.gateway_command import command
from ..support.repository import ROOT

SCHEMA = Draft202012Validator(json.loads((ROOT / "gateway" / "policy-tests.schema.json").read_text()))
INSIDE = "svc.cluster.local"
ROUTES: dict[str, Any] = {
    "upstreams": {
        "chat-1": {"url": f"http://chat-1.{INSIDE}"},
        "chat-2": {"url": f"http://chat-2.{INSIDE}"},
        "secret-1": {"url": f"http://secret.{INSIDE}"},
        "lab": {"url": f"http://lab.{INSIDE}", "apis": ["chat"]},
        "hosted": {"url": "litellm://openai/gpt-4o", "credential_env": "OPENAI_API_KEY"},
    },
    "routes": {
        "chat": {
            "strategy": "canary",
            "primary": "chat-1",
            "canary": "chat-2",
            "percent": 20,
            "match": [{"header": "x-lane", "value": "beta", "upstream": "chat-2"}],
            "fallbacks": ["spare"],
            "shadow": {"upstream": "lab", "percent": 5},
        },
        "spare": {"strategy": "direct", "upstream": "chat-1"},
        "secret": {"strategy": "direct", "upstream": "secret-1"},
        "public": {"strategy": "direct", "upstream": "hosted"},
    },
    "policies": {
        "guest": {
            "models": ["chat", "spare"],
            "requests_per_minute": 60,
            "max_tokens": 100,
            "passthrough": [],
            "masking": {"kinds": ["email"]},
        },
        "staff": {"models": ["chat", "spare", "secret"], "tokens_per_minute": 5000, "priority": 80},
    },
    "subjects": {"*": {"models": ["public"], "max_parallel": 2}},
}
TESTS: list[dict[str, Any]] = [
    {
        "name": "a guest never reaches the secret",
        "caller": {"tenant": "guest"},
        "never_reaches": ["secret"],
        "only": ["chat", "spare"],
        "limits": {"requests_per_minute": 60, "max_tokens": {"at_most": 100, "at_least": 100}},
        "masks": {"requests": ["email"], "restores": True},
    },
    {
        "name": "staff may",
        "caller": {"tenant": "staff"},
        "only": ["chat", "spare", "secret"],
        "limits": {"tokens_per_minute": 5000, "priority": {"at_least": 80}},
    },
    {
        "name": "who signs in asks the provider",
        "caller": {"subject": "somebody"},
        "only": ["public"],
        "limits": {"max_parallel": 2},
    },
    {"name": "ours stays here", "stays": {"models": ["chat", "spare", "secret"], "hosts": [f"*.{INSIDE}"]}},
    {"name": "a canary stays small", "share": {"model": "chat", "at_least": 20, "at_most": 20}},
    {"name": "which one is the canary", "share": {"model": "chat", "of": ["chat-2"], "at_most": 20}},
    {"name": "copies go to the lab", "copies": {"model": "chat", "to": ["lab"], "at_least": 5, "at_most": 5}},
    {
        "name": "the lane of testers",
        "request": {"model": "chat", "headers": {"x-lane": "beta"}},
        "goes_to": {"route": "chat", "upstream": "chat-2"},
    },
    {"name": "everybody else", "request": {"model": "chat"}, "goes_to": {"route": "chat", "upstream": "chat-?"}},
    {
        "name": "spare answers when both have failed",
        "request": {"model": "chat", "open": ["chat-2", "nobody"], "headers": {"x-lane": "beta"}},
        "goes_to": {"route": "spare", "upstream": "chat-1"},
    },
    {"name": "the spare one", "request": {"model": "spare"}, "goes_to": {"upstream": "chat-1"}},
    {"name": "the secret one", "request": {"model": "secret"}, "goes_to": {"upstream": "secret-1"}},
    {"name": "the public one", "request": {"model": "public"}, "goes_to": {"upstream": "hosted"}},
    {
        "name": "a guest says nothing else",
        "caller": {"tenant": "guest"},
        "request": {"model": "chat", "body": {"x_field": 1}},
        "refused": "field_not_allowed",
    },
]


def held(
    folder: Path, routes: Mapping[str, Any], tests: list[dict[str, Any]], *flags: str
) -> tuple[int, dict[str, Any]]:
    write_routes(folder / "routes", {"all": routes})
    (folder / "tests.yaml").write_text(json.dumps({"tests": tests}))
    SCHEMA.validate({"tests": tests})
    said = command("policy-test", folder / "routes", "--json", *flags, "--tests", folder / "tests.yaml")
    return said.status, said.told


def faults(told: Mapping[str, Any]) -> dict[str, str]:
    return {f"{one['test']}: {one['assertion']}": one["fault"] for one in told["assertions"] if one["fault"]}


def changed(**edits: Any) -> dict[str, Any]:
    """ROUTES with values replaced: `routes.chat.percent` as routes__chat__percent; `-` for `_` in names."""
    routes = copy.deepcopy(ROUTES)
    for path, value in edits.items():
        place: Any = routes
        *way, last = path.split("__")
        for part in way:
            place = place[part]
        place[last] = value
    return routes


def test_what_is_true_holds_and_every_rule_is_looked_at(tmp_path: Path) -> None:
    status, told = held(tmp_path, ROUTES, TESTS, "--min-coverage", "100")
    assert (status, faults(told)) == (0, {})
    assert told["coverage"]["unseen"] == []
    assert told["coverage"]["rules"] >= 19


@pytest.mark.parametrize(
    ("routes", "assertion", "because"),
    [
        (
            changed(routes__chat__fallbacks=["spare", "secret"], policies__guest__models=["chat", "spare", "secret"]),
            "a guest never reaches the secret: never_reaches",
            "its policy lets it use secret",
        ),
        (
            changed(routes__chat__match=[{"header": "x-lane", "value": "beta", "upstream": "secret-1"}]),
            "a guest never reaches the secret: never_reaches",
            "it reaches secret: chat -> secret-1 of chat by x-lane: beta",
        ),
        (
            changed(
                routes__chat__shadow={"upstream": "secret-1", "percent": 1, "match": {"header": "x-a", "value": "b"}}
            ),
            "a guest never reaches the secret: only",
            "it reaches more: chat -> secret-1 of chat as a copy",
        ),
        (
            changed(routes__spare__upstream="secret-1"),
            "a guest never reaches the secret: never_reaches",
            "it reaches secret: chat -> secret-1 of spare",
        ),
        (changed(default="secret-1"), "a guest never reaches the secret: only", ""),
        (
            changed(routes__spare__upstream="hosted"),
            "ours stays here: stays",
            "it leaves for litellm://openai/gpt-4o: chat -> hosted of spare",
        ),
        (
            changed(routes__spare__masking={"kinds": ["email"], "restore": False}),
            "a guest never reaches the secret: masks",
            "restore is false: chat -> chat-1 of spare",
        ),
        (
            changed(policies__guest__masking={"kinds": ["iban"]}),
            "a guest never reaches the secret: masks",
            "not masked: email",
        ),
        (changed(routes__chat__percent=30), "a canary stays small: share", "it is 30, above 20"),
        (changed(routes__chat__match=[]), "the lane of testers: goes_to", "it goes to chat-1 of chat"),
        (changed(routes__chat__fallbacks=[]), "spare answers when both have failed: goes_to", "nobody answers"),
        (changed(policies__staff={}), "staff may: limits.tokens_per_minute", "it is unlimited, above 5000"),
        (changed(subjects={}), "who signs in asks the provider: only", "it may not use public"),
    ],
)
def test_a_broken_rule_is_found_and_told_where(
    tmp_path: Path, routes: dict[str, Any], assertion: str, because: str
) -> None:
    status, told = held(tmp_path, routes, TESTS)
    found = faults(told)
    if assertion == "a guest never reaches the secret: only" and not because:
        assert (status, found) == (0, {}), "a guest's policy names its models, so that the default is none of its"
        return
    assert status == 1
    assert because in found.get(assertion, ""), found


def test_an_engine_is_its_address_unless_both_say_which_of_several_they_ask(tmp_path: Path) -> None:
    never = [{"name": "t", "caller": {"tenant": "guest"}, "never_reaches": ["secret"]}]
    upstreams = {name: {"url": "http://one.example", "model": name} for name in ("small", "large")}
    upstreams["any"] = {"url": "http://one.example"}

    def routes(of_chat: str, of_secret: str) -> dict[str, Any]:
        leads = {"chat": of_chat, "secret": of_secret}
        return {
            "upstreams": upstreams,
            "routes": {name: {"strategy": "direct", "upstream": one} for name, one in leads.items()},
            "policies": {"guest": {"models": ["chat"]}},
        }

    assert held(tmp_path, routes("small", "large"), never)[0] == 0
    for of_chat, of_secret in (("large", "large"), ("any", "large"), ("small", "any")):
        found = faults(held(tmp_path, routes(of_chat, of_secret), never)[1])
        assert f"it reaches secret: chat -> {of_chat} of chat" in found["t: never_reaches"]


def test_a_name_that_no_route_has_reaches_what_the_default_reaches(tmp_path: Path) -> None:
    never = [{"name": "t", "caller": {"tenant": "guest", "models": ["big-model-v3"]}, "never_reaches": ["secret"]}]
    upstreams = {"big": {"url": "http://big.example", "model": "big-model-v3"}, "any": {"url": "http://big.example"}}
    routes: dict[str, Any] = {"upstreams": upstreams, "routes": {"secret": {"strategy": "direct", "upstream": "big"}}}
    assert held(tmp_path, routes, never)[0] == 0
    found = faults(held(tmp_path, {**routes, "default": "any"}, never)[1])
    assert "big-model-v3 -> any of default" in found["t: never_reaches"]


def test_what_cannot_fail_is_told(tmp_path: Path) -> None:
    tests = [
        {"name": "t", "stays": {"models": ["none"], "hosts": ["x"]}, "share": {"model": "none", "at_most": 1}},
        {"name": "u", "request": {"model": "none"}, "refused": "too_many_tokens"},
        {"name": "v", "never_reaches": ["none-*"]},
        {"name": "vi", "share": {"model": "chat", "of": ["chat-tow"], "at_most": 5}},
    ]
    status, told = held(tmp_path, ROUTES, tests)
    assert (status, [bool(one["vacuous"]) for one in told["assertions"]]) == (0, [True] * 5)


def test_every_place_in_a_split_is_tried(tmp_path: Path) -> None:
    tests = [{"name": "t", "request": {"model": "chat"}, "goes_to": {"upstream": "chat-1"}}]
    assert faults(held(tmp_path, changed(routes__chat__percent=0.01), tests)[1])
    assert held(tmp_path, changed(routes__chat__percent=0), tests)[0] == 0


def test_too_little_looked_at_ends_with_1(tmp_path: Path) -> None:
    few = [test for test in TESTS if test["name"] == "the public one"]
    status, told = held(tmp_path, ROUTES, few, "--min-coverage", "50")
    assert (status, told["sound"], faults(told)) == (1, False, {})
    assert "routes.chat.match.x-lane=beta" in told["coverage"]["unseen"]
    assert held(tmp_path, ROUTES, few, "--min-coverage", "5")[0] == 0


def test_the_gateway_does_what_a_test_holds(tmp_path: Path) -> None:
    """The same routes, served: so that the assertions are about requests, and not about a model of them."""
    routes = copy.deepcopy(ROUTES)
    for name in routes["upstreams"]:
        routes["upstreams"][name] = {"url": f"mock://local?name={name}", "release": name.encode().hex().ljust(64, "0")}
    del routes["routes"]["chat"]["shadow"]
    folder = write_routes(tmp_path / "routes", {"all": routes})
    keys = tmp_path / "keys.yaml"
    made = subprocess.run([str(BIN / "nexus-gateway"), "keys", "new", "--id", "guest"], capture_output=True, text=True)
    keys.write_text(made.stdout)
    key = made.stdout.splitlines()[0].rpartition(" ")[2]
    gateway = Gateway(tmp_path, "--routes", str(folder), "--keys", str(keys)).wait()
    asked = {"authorization": f"Bearer {key}"}
    assert code(gateway.ask("secret", headers=asked)) == "model_not_allowed"
    assert code(gateway.ask("chat", headers=asked, x_field=1)) == "field_not_allowed"
    assert code(gateway.ask("chat", headers=asked, max_tokens=101)) == "too_many_tokens"
    lane = gateway.ask("chat", headers={**asked, "x-lane": "beta"})
    assert bytes.fromhex(lane.headers["x-nexus-release"].rstrip("0")).decode() == "chat-2"
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: []", "tests"),
        ("tests: [{name: t}]", "it asserts nothing"),
        ("tests: [{name: t, may_use: [a], callr: {}}]", "callr"),
        ("tests: [{name: t, caller: {}, may_use: [a]}]", "give either tenant or subject"),
        ("tests: [{name: t, request: {model: a}}]", "request goes with"),
        ("tests: [{name: t, request: {model: a}, refused: nope}]", "nope is no code"),
        ("tests: [{name: t, limits: {priority: {}}}]", "limits.priority"),
        ("tests: [{name: t, share: {model: a}}]", "at_least, at_most"),
        ("tests: [{name: t, may_use: [a]}, {name: t, may_use: [b]}]", "two tests are called"),
        ("tests: [{name: t, may_use: [a]}]\nmore: 1", "more"),
        ("- a", "valid dictionary"),
    ],
)
def test_a_file_that_cannot_be_meant_ends_with_2(tmp_path: Path, text: str, said: str) -> None:
    write_routes(tmp_path / "routes", {"all": ROUTES})
    (tmp_path / "tests.yaml").write_text(text)
    done = command("policy-test", tmp_path / "routes", "--tests", tmp_path / "tests.yaml")
    assert done.status == 2
    assert said in done.err


def test_a_commit_is_held_and_pull_requests_are_told(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit({"all": ROUTES})
    tests = [*TESTS, {"name": "a *false* one", "may_use": ["nothing"], "caller": {"tenant": "guest"}}]
    (tmp_path / "tests.yaml").write_text(json.dumps({"tests": tests}))
    words = ("policy-test", f"HEAD:{PATH}", "--repository", repository.root, "--tests", tmp_path / "tests.yaml")
    done, again = (command(*words, "--mutants", "--markdown") for _ in range(2))
    assert done.status == 1
    assert done.out == again.out
    assert "- a \\*false\\* one: may\\_use: it may not use nothing" in done.out
    assert "| broken rules found |" in done.out
