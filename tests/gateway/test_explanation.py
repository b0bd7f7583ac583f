"""`nexus-gateway explain`: which rule decides; the gateway does the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..support.decision_log import PATH, Repository
from ..support.gateway import BIN, OTHER, RELEASE, Gateway, write_routes

DOCUMENT: dict[str, Any] = {
    "upstreams": {
        "old": {"url": "mock://local", "release": RELEASE},
        "new": {"url": "mock://slow?ttft=0", "release": OTHER},
        "lab": {"endpoints": ["mock://local?a=1", "mock://local?a=2"]},
    },
    "routes": {
        "chat": {
            "strategy": "canary",
            "primary": "old",
            "canary": "new",
            "percent": 40,
            "fallbacks": ["spare"],
            "match": [{"header": "x-lab", "value": "yes", "upstream": "lab"}],
        },
        "spare": {"strategy": "direct", "upstream": "old"},
    },
    "policies": {
        "small": {"models": ["spare"]},
        "narrow": {"models": ["chat"]},
        "bounded": {"tokens_per_minute": 600, "max_tokens": 500, "passthrough": [], "masking": {"kinds": ["email"]}},
    },
    "subjects": {"robot": {"models": ["spare"]}},
}


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    return write_routes(tmp_path / "routes", {"chat": DOCUMENT})


def explain(routes: Path, *words: str) -> tuple[int, dict[str, Any]]:
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


def upstreams(told: dict[str, Any]) -> list[str]:
    return [one["upstream"] for one in told["asked_in_order"]]


def test_a_session_is_told_where_the_gateway_sends_it(routes: Path, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, "--routes", str(routes)).wait()
    releases = set()
    for session in "abcdefgh":
        status, told = explain(routes, "--model", "chat", "--session", session)
        answer = gateway.ask("chat", headers={"x-nexus-session": session})
        assert status == 0
        assert told["asked_in_order"][0]["release"] == answer.headers["x-nexus-release"]
        assert told["revision"] == answer.headers["x-nexus-revision"]
        releases.add(answer.headers["x-nexus-release"])
    assert releases == {RELEASE, OTHER}, "both sides of the split were seen"
    assert gateway.stop() == 0


def test_fallbacks_and_the_other_target_follow(routes: Path) -> None:
    _, told = explain(routes, "--model", "chat", "--session", "a")
    assert sorted(upstreams(told)[:2]) == ["new", "old"]
    assert (told["asked_in_order"][2]["route"], told["shares"]) == ("spare", {"old": "60 %", "new": "40 %"})


def test_a_header_decides_first(routes: Path) -> None:
    _, told = explain(routes, "--model", "chat", "--header", "X-Lab=yes")
    assert told["because"] == "header x-lab is yes"
    assert upstreams(told) == ["lab", "old"]


def test_a_policy_s_no_ends_with_1(routes: Path) -> None:
    status, told = explain(routes, "--model", "chat", "--key", "small")
    assert (status, told["refused"]) == (1, "model_not_allowed")
    assert explain(routes, "--model", "none")[1]["refused"] == "model_not_found"


def test_a_fallback_that_the_key_may_not_use_is_not_told(routes: Path) -> None:
    _, told = explain(routes, "--model", "chat", "--key", "narrow")
    assert {one["route"] for one in told["asked_in_order"]} == {"chat"}


def test_who_is_asked_when_circuits_are_open(routes: Path) -> None:
    _, told = explain(routes, "--model", "chat", "--session", "a", "--open", "n*")
    assert upstreams(told) == ["old", "old"]
    assert told["passed_over"] == [{"route": "chat", "upstream": "new", "because": "its circuit is open"}]


def test_what_a_policy_holds_the_request_to_is_told(routes: Path) -> None:
    asked = ("--model", "spare", "--key", "bounded")
    status, told = explain(routes, *asked, "--size", "396")
    assert (status, told["policy_from"], told["tokens"]) == (0, "policies.bounded", 396 // 4 + 500)
    assert told["limits"] == {"requests": None, "tokens": 600, "parallel": None}
    assert told["asked_in_order"][0]["masked"] == ["email"]
    assert explain(routes, *asked, "--max-tokens", "501")[1]["refused"] == "too_many_tokens"
    status, told = explain(routes, *asked, "--size", "404")
    assert (status, told["refused"]) == (1, "too_many_tokens")
    assert "may need 601 tokens, and this key has 600 a minute" in told["because"]


def test_a_body_is_read_as_the_gateway_reads_it(routes: Path, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"model": "spare", "user": "a", "secret_field": 1}')
    status, told = explain(routes, "--body", str(body), "--key", "bounded")
    assert (status, told["refused"]) == (1, "field_not_allowed")
    assert explain(routes, "--body", str(body))[1]["route"] == "spare"
    body.write_text('{"model": "spare", "Model": "chat"}')
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), "--body", str(body)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "stands twice, or in another case" in done.stderr) == (2, True)


def test_a_token_is_known_by_its_subject(routes: Path) -> None:
    _, told = explain(routes, "--model", "spare", "--subject", "robot")
    assert (told["policy_from"], told["route"]) == ("subjects.robot", "spare")
    assert (
        explain(routes, "--model", "chat", "--subject", "robot")[1]["because"]
        == "subjects.robot.models does not name it"
    )
    assert explain(routes, "--model", "chat", "--subject", "nobody")[1]["refused"] == "model_not_allowed"
    assert explain(routes, "--model", "chat", "--subject", "nobody", "--token-model", "chat")[0] == 0


def test_a_key_file_says_whose_a_key_is_and_what_it_may_use(routes: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    entry = {"id": "ci", "digest": "sha256:" + "0" * 64, "tenant": "narrow", "models": ["chat", "spare"]}
    keys.write_text(json.dumps({"keys": [entry]}))
    _, told = explain(routes, "--model", "chat", "--keys", str(keys), "--key", "ci")
    assert (told["policy_from"], told["left_out"]) == ("policies.narrow", ["spare"])
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), "--model", "chat", "--keys", str(keys)]
    assert subprocess.run(command, capture_output=True).returncode == 2


def test_an_engine_that_does_not_speak_the_api_is_passed_over(tmp_path: Path) -> None:
    upstreams = {**DOCUMENT["upstreams"], "old": {"url": "mock://local", "apis": ["chat"]}}
    routes = write_routes(tmp_path / "routes", {"chat": {**DOCUMENT, "upstreams": upstreams}})
    _, told = explain(routes, "--model", "chat", "--api", "embeddings")
    assert [one["upstream"] for one in told["asked_in_order"]] == ["new"]
    assert {one["because"] for one in told["passed_over"]} == {"does not speak embeddings"}
    assert explain(routes, "--model", "spare", "--api", "embeddings")[1]["refused"] == "api_not_served"
    assert explain(routes, "--model", "spare", "--api", "messages")[0] == 0, "made of chat"


def test_a_commit_is_explained_without_being_checked_out(routes: Path, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    commit = repository.commit({"chat": DOCUMENT})
    repository.commit({"chat": {**DOCUMENT, "routes": {}}})
    at = ("--repository", str(repository.root), "--model", "chat")
    assert explain(Path(f"{commit}:{PATH}"), *at)[0] == 0
    assert explain(Path(f"HEAD:{PATH}"), *at)[1]["refused"] == "model_not_found"


def test_people_read_it_line_by_line(routes: Path) -> None:
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), "--model", "chat", "--session", "a"]
    told = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert told[2].startswith("route     chat: its session's bucket")
    assert told[3].startswith("shares    old 60 %, new 40 %; bucket ")


@pytest.mark.parametrize("words", [["--model", "chat", "--header", "x-lab"], []])
def test_what_cannot_be_meant_ends_with_2(routes: Path, words: list[str]) -> None:
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), *words]
    assert subprocess.run(command, capture_output=True).returncode == 2
