"""`nexus-gateway explain`: which rule decides; the gateway does the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

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
    "policies": {"small": {"models": ["spare"]}, "narrow": {"models": ["chat"]}},
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


def test_people_read_it_line_by_line(routes: Path) -> None:
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), "--model", "chat", "--session", "a"]
    told = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    assert told[2].startswith("route     chat: its session's bucket")
    assert told[3].startswith("shares    old 60 %, new 40 %; bucket ")


@pytest.mark.parametrize("words", [["--model", "chat", "--header", "x-lab"], []])
def test_what_cannot_be_meant_ends_with_2(routes: Path, words: list[str]) -> None:
    command = [str(BIN / "nexus-gateway"), "explain", str(routes), *words]
    assert subprocess.run(command, capture_output=True).returncode == 2
