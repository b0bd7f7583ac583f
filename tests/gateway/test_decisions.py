"""The decision log: every decision with what it was made by, and the same one made again from it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_gateway.decisions.considered import Considered
from nexus_gateway.decisions.decision_log import DecisionLog
from nexus_gateway.keys import digest
from nexus_gateway.telemetry.record import RequestRecord

from ..support.decision_log import PATH, Repository, lines, replay
from ..support.gateway import Gateway, until, write_routes
from ..support.upstream import Engine

NARROW = "narrow-key-that-may-use-less"
EMAIL = "canary.person@example.com"
SESSION = "session-of-canary-person"
REQUESTS = 40
"""Of each model, in each of two configurations."""


def files(engine: Engine, percent: float, **more: Any) -> dict[str, Any]:
    upstreams: dict[str, Any] = {
        "old": {"url": engine.url("ok")},
        "new": {"url": engine.url("other")},
        "lab": {"url": engine.url("release-lab")},
        "failing": {"url": engine.url("500")},
        "resting": {"url": engine.url("429")},
        "nobody": {"url": "http://127.0.0.1:1"},
        "fleet": {"endpoints": [engine.url(name) for name in ("release-a", "release-b", "500")]},
        "slow": {"url": engine.url("stall")},
    }
    rule = {"header": "x-lab", "value": "beta", "upstream": "lab"}
    routes: dict[str, Any] = {
        "chat": {"strategy": "canary", "primary": "old", "canary": "new", "percent": percent, "match": [rule]},
        "broken": {"strategy": "direct", "upstream": "nobody", "fallbacks": ["shaky", "chat"], "tries": 4},
        "shaky": {"strategy": "direct", "upstream": "failing"},
        "full": {"strategy": "direct", "upstream": "resting", "fallbacks": ["many"]},
        "many": {"strategy": "direct", "upstream": "fleet"},
        "stall": {"strategy": "direct", "upstream": "slow", "timeouts": {"first_byte_seconds": 0.2}},
        "mix": {
            "strategy": "weighted",
            "targets": [{"upstream": name, "weight": share} for name, share in (("failing", 50), ("old", 50))],
        },
    }
    policies = {f"env-{digest(NARROW.encode()).hex()[:8]}": {"models": ["broken", "chat", "mix"]}}
    return {"all": {"upstreams": upstreams, "routes": routes, "policies": policies, "default": "old", **more}}


@dataclass(frozen=True)
class Recorded:
    log: Path
    repository: Repository
    lines: list[dict[str, Any]]
    raw: str

    @property
    def flags(self) -> tuple[str | Path, ...]:
        return ("--repository", self.repository.root, "--path", PATH)

    def of(self, model: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["model"] == model]


@pytest.fixture(scope="module")
def recorded(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A few hundred requests on a real gateway, whose routes change in the middle."""
    folder = tmp_path_factory.mktemp("decisions")
    repository = Repository(folder / "repository")
    repository.commit(files(engine, 40))
    env = {"GATEWAY_API_KEYS": f"dev-key,{NARROW}", "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "3"}
    env |= {"GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "0.2"}
    flags = ("--routes", str(repository.folder), "--decisions", str(folder / "log"))
    gateway = Gateway(folder, *flags, env=env).wait()
    try:
        traffic(gateway)
        before = gateway.config()["revision"]
        repository.commit(files(engine, 60))
        until(lambda: gateway.config()["revision"] != before, "the new routes are served")
        traffic(gateway)
    finally:
        assert gateway.stop() == 0
    log = folder / "log"
    return Recorded(log, repository, lines(log), text_of(log))


def text_of(log: Path) -> str:
    return "".join(file.read_text() for file in sorted(log.iterdir()))


def traffic(gateway: Gateway) -> None:
    """Four callers at once, so that endpoints have calls under way; every kind of end."""
    with httpx.Client(base_url=gateway.url, timeout=30, limits=httpx.Limits(max_connections=8)) as client:

        def ask(model: str, number: int, key: str = "dev-key", **headers: str) -> int:
            given = {"authorization": f"Bearer {key}", "x-nexus-session": f"{SESSION}-{number}", **headers}
            body = {"model": model, "messages": [{"role": "user", "content": f"I am {EMAIL}"}], "user": EMAIL}
            return client.post("/v1/chat/completions", json=body, headers=given).status_code

        def caller(first: int) -> None:
            ready.wait(30)
            ask("stall", first)
            for number in range(first, REQUESTS, 4):
                for model in ("chat", "broken", "full", "many", "mix"):
                    ask(model, number)
                ask("chat", number, **{"x-lab": "beta" if number % 3 else EMAIL})
                ask("broken", number, NARROW)
                ask("many", number, NARROW)

        ready = threading.Barrier(4)
        callers = [threading.Thread(target=caller, args=(first,)) for first in range(4)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join()
        ask(f"who-is-{EMAIL}", 0)
        ask("x" * 128, 0)


def test_every_decision_is_made_again_as_it_was(recorded: Recorded) -> None:
    done = replay(recorded.log, *recorded.flags)
    assert done.status == 0, done.told
    assert done.told["decisions"] == done.told["agree"] == len(recorded.lines) == 2 * (8 * REQUESTS + 6)
    assert done.told["disagreements"] == done.told["unreadable"] == []
    assert len({line["revision"] for line in recorded.lines}) == 2


def test_all_that_decides_has_been_seen(recorded: Recorded) -> None:
    """Else the agreement would say little."""
    choices = [choice for line in recorded.lines for choice in line["choices"]]
    seen = [endpoint for choice in choices for endpoint in choice["endpoints"]]
    assert {endpoint["circuit"] for endpoint in seen} >= {"closed", "open"}
    assert {endpoint["admits"] for endpoint in seen} == {endpoint["resting"] for endpoint in seen} == {True, False}
    assert any(endpoint["in_flight"] for endpoint in seen)
    assert {choice["asked"] is None for choice in choices} == {True, False}
    outcomes = {choice["asked"]["outcome"] for choice in choices if choice["asked"]}
    assert outcomes >= {"answered", "upstream_failed", "upstream_rate_limited", "upstream_timeout"}
    assert {rule["held"] for line in recorded.of("chat") for rule in line["rules"]} == {True, False}
    assert any(len(line["choices"]) >= 3 for line in recorded.of("broken"))


def test_a_caller_s_policy_is_in_what_is_left_out(recorded: Recorded) -> None:
    narrow = [line for line in recorded.of("broken") if line["left_out"]]
    assert len(narrow) == 2 * REQUESTS
    assert {tuple(line["left_out"]) for line in narrow} == {("shaky",)}
    refused = [line for line in recorded.of("many") if not line["allowed"]]
    assert len(refused) == 2 * REQUESTS
    assert {(line["code"], line["route"], line["tries"]) for line in refused} == {("model_not_allowed", None, None)}


def test_another_percent_moves_exactly_the_buckets_between(recorded: Recorded, engine: Engine, tmp_path: Path) -> None:
    first = [line for line in recorded.of("chat") if line["revision"] == recorded.lines[0]["revision"]]
    split = [line["splits"][0]["bucket"] for line in first if line["splits"]]
    moved = sorted(bucket for bucket in split if 4000 <= bucket < 5500)
    routes = write_routes(tmp_path / "routes", files(engine, 55))
    half = tmp_path / "log"
    half.mkdir()
    (half / "first.jsonl").write_text("".join(json.dumps(line) + "\n" for line in first))
    done = replay(half, "--routes", routes, *recorded.flags)
    assert done.status == 0
    assert (done.told["agree"], done.told["under_other_routes"]) == (len(first), len(first))
    assert len(split) > REQUESTS
    assert done.told["changes"] == [
        {"route": "chat", "from": "old", "to": "new", "count": len(moved), "buckets": [moved[0], moved[-1]]}
    ]


def test_a_commit_says_what_it_would_change(recorded: Recorded, engine: Engine, tmp_path: Path) -> None:
    """Its own rollout is drawn anew, a rule that is new cannot be told, and a model that goes away has no route."""
    repository = Repository(shutil.copytree(recorded.repository.root, tmp_path / "repository"))
    other = files(engine, 60)
    other["all"]["routes"]["chat"]["rollout"] = "beef"
    other["all"]["routes"]["many"]["match"] = [{"header": "x-new", "value": "1", "upstream": "lab"}]
    other["all"]["routes"]["mix"] = {"strategy": "direct", "upstream": "old"}
    del other["all"]["default"], other["all"]["routes"]["stall"]
    commit = repository.commit(other)
    done = replay(recorded.log, "--repository", repository.root, "--path", PATH, "--at", commit)
    assert done.status == 0
    assert done.told["decisions"] == done.told["under_other_routes"] == len(recorded.lines)
    assert set(done.told["unknown"]) == {"a place in the split of chat is drawn anew", "the rule for x-new is new"}
    changes = {(one["route"], one["from"], one["to"]): one["count"] for one in done.told["changes"]}
    assert sum(count for (route, _, after), count in changes.items() if (route, after) == ("stall", "no route")) == 8
    assert changes["default", "old", "no route"] == 4
    assert {route for route, _, _ in changes} <= {"stall", "default", "mix"}  # mix, unless its engine was left alone
    assert {after for route, _, after in changes if route == "mix"} <= {"old"}
    unsplit = replay(recorded.log, *recorded.flags, "--at", "no-such-commit")
    assert unsplit.status == 2


def test_nothing_of_who_asked_is_kept(recorded: Recorded) -> None:
    for secret in (EMAIL, "canary", SESSION, NARROW, "dev-key", "env-", '127.0.0.1"'):
        assert secret not in recorded.raw
    unknown = [line for line in recorded.lines if not line["known"]]
    assert len(unknown) == 4
    assert {line["route"] for line in unknown} == {"default"}
    assert max(len(line["model"]) for line in unknown) == 64


@pytest.mark.parametrize("lie", ["bucket", "held", "admits", "chosen", "left_out", "route", "outcome", "dropped"])
def test_a_line_that_lies_is_found(recorded: Recorded, tmp_path: Path, lie: str) -> None:
    line = json.loads(json.dumps(next(line for line in recorded.of("broken") if len(line["choices"]) >= 3)))
    split = json.loads(json.dumps(next(line for line in recorded.of("chat") if line["splits"])))
    if lie == "bucket":
        line, split["splits"][0]["bucket"] = split, (split["splits"][0]["bucket"] + 5000) % 10_000
    elif lie == "held":
        line, split["rules"][0]["held"] = split, True
    elif lie == "admits":
        line["choices"][0]["endpoints"][0]["admits"] = not line["choices"][0]["endpoints"][0]["admits"]
    elif lie == "chosen":
        line, split["choices"][0]["asked"]["endpoint"] = split, "lab"
    elif lie == "left_out":
        line["left_out"] = ["chat"]
    elif lie == "route":
        line["route"] = "chat"
    elif lie == "outcome":
        line, split["choices"][0]["asked"]["went_on"] = split, True
    else:
        line["choices"] = line["choices"][:-1]
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n")
    done = replay(tmp_path / "log.jsonl", *recorded.flags)
    assert (done.status, len(done.told["disagreements"])) == (1, 1)


def test_what_is_no_line_and_what_has_no_routes_is_told(recorded: Recorded, engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(recorded.raw.splitlines()[0] + '\n{"kind": "decision"}\nnot json\n')
    done = replay(log, *recorded.flags)
    assert (done.status, done.told["unreadable"]) == (1, ["log.jsonl:2", "log.jsonl:3"])
    fresh = Repository(tmp_path / "fresh")
    fresh.commit(files(engine, 1))
    lost = replay(recorded.log, "--repository", fresh.root, "--path", PATH)
    assert lost.status == 2
    assert sum(lost.told["revisions_not_found"].values()) == len(recorded.lines)
    assert replay(recorded.log).status == 2
    assert replay(tmp_path / "nothing", *recorded.flags).status == 2
    assert replay(recorded.log, "--repository", fresh.root, "--path", "../x").status == 2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose log cannot be written at first: a file is where its folder is to be."""
    (tmp_path / "log").write_text("in the way")
    document = {"upstreams": {"m": {"url": "mock://local"}}, "routes": {"m": {"strategy": "direct", "upstream": "m"}}}
    routes = write_routes(tmp_path / "routes", {"m": document})
    yield (gateway := Gateway(tmp_path, "--routes", str(routes), "--decisions", str(tmp_path / "log")).wait())
    if gateway.process.poll() is None:
        gateway.stop()


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, largest=1)
    log.start()
    for number in range(3):
        record = RequestRecord("POST", "/v1/chat/completions", "", 0.0, revision="a" * 64, trace_id=str(number))
        log.write(record, Considered("/v1/chat/completions", "chat", known=False))
        until(lambda: f'"trace_id": "{number}"' in text_of(tmp_path), "the line is written")  # noqa: B023 - asked at once
    log.stop()
    assert [line["trace_id"] for line in lines(tmp_path)] == ["0", "1", "2"]
    assert [len(file.read_text().splitlines()) for file in sorted(tmp_path.iterdir())] == [1, 1, 1]


def test_a_log_that_cannot_be_written_holds_nobody_up_and_says_what_it_lost(small: Gateway, tmp_path: Path) -> None:
    assert [small.ask("m").status_code for _ in range(5)] == [200] * 5
    dropped = "gateway_decision_lines_dropped_total 5.0"
    until(lambda: dropped in small.get("/metrics").text, "what is lost is counted")
    (tmp_path / "log").unlink()
    assert small.ask("m").status_code == 200
    assert small.stop() == 0
    assert any("decision log cannot be written" in line["message"] for line in small.lines())
    written = lines(tmp_path / "log")
    assert sum(line.get("lost", 0) for line in written) == 5
    assert sum(line["kind"] == "decision" for line in written) == 1
    done = replay(tmp_path / "log", "--routes", tmp_path / "routes")
    assert (done.status, done.told["agree"], done.told["lost"]) == (0, 1, 5)
    assert all((file.stat().st_mode & 0o077) == 0 for file in (tmp_path / "log").iterdir())
