"""`nexus-gateway simulate`: a log that a real gateway wrote, decided under other routes."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.decision_log import PATH, Repository, lines
from ..support.gateway import BIN, PLAIN, RELEASE, Gateway, write_routes
from ..support.gateway_command import Said, command
from ..support.terminal import at_a_terminal

SESSIONS = 240
GUEST = "a-key-of-a-guest-who-may-use-less"
ROUTES: dict[str, Any] = {
    "upstreams": {
        "old": {"url": "mock://local?a=old"},
        "new": {"url": "mock://local?a=new"},
        "lab": {"url": "mock://local?a=lab"},
        "nobody": {"url": "http://127.0.0.1:1"},
    },
    "routes": {
        "chat": {
            "strategy": "canary",
            "primary": "old",
            "canary": "new",
            "percent": 40,
            "rollout": "beef",
            "match": [{"header": "x-lane", "value": "beta", "upstream": "lab"}],
        },
        "small": {"strategy": "direct", "upstream": "old"},
        "broken": {"strategy": "direct", "upstream": "nobody", "fallbacks": ["chat"]},
    },
}


def changed(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    routes = copy.deepcopy(ROUTES)
    edit(routes)
    return routes


def at_percent(percent: float) -> dict[str, Any]:
    return changed(lambda routes: routes["routes"]["chat"].update(percent=percent))


@dataclass(frozen=True)
class Recorded:
    log: Path
    repository: Repository
    lines: list[dict[str, Any]]

    def of(self, model: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["model"] == model]

    def buckets(self) -> list[int]:
        return [line["splits"][0]["bucket"] for line in self.of("chat") if line["splits"]]

    def simulate(self, new: str | Path, *flags: str | Path, old: str | Path = f"HEAD:{PATH}") -> Said:
        at = ("--repository", self.repository.root)
        return command("simulate", old, new, "--log", self.log, *at, *flags)

    def under(self, folder: Path, routes: dict[str, Any]) -> dict[str, Any]:
        said = self.simulate(write_routes(folder / "new", {"all": routes}), "--json")
        assert said.status == 0, said.err
        told: dict[str, Any] = said.told
        return told


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("simulated")
    repository = Repository(folder / "repository")
    repository.commit({"all": ROUTES})
    keys = folder / "keys.yaml"
    made = [_key(name, *models) for name, models in (("all", ()), ("guest", ("--model", "small")))]
    keys.write_text("keys:\n" + "".join(entry for _, entry in made))
    gateway = Gateway(
        folder, "--routes", str(repository.folder), "--keys", str(keys), "--decisions", str(folder / "log")
    ).wait()
    try:
        _traffic(gateway, *(key for key, _ in made))
    finally:
        assert gateway.stop() == 0
    return Recorded(folder / "log", repository, lines(folder / "log"))


def _key(name: str, *models: str) -> tuple[str, str]:
    """A key, and its entry of the key file."""
    done = subprocess.run([str(BIN / "nexus-gateway"), "keys", "new", "--id", name, *models], capture_output=True)
    head, _, *entry = done.stdout.decode().splitlines(keepends=True)
    return head.split()[-1], "".join(entry)


def _traffic(gateway: Gateway, key: str, guest: str) -> None:
    with httpx.Client(base_url=gateway.url, verify=PLAIN, timeout=30) as client:

        def ask(model: str, key: str = key, **headers: str) -> int:
            given = {"authorization": f"Bearer {key}", **headers}
            body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
            return client.post("/v1/chat/completions", json=body, headers=given).status_code

        for number in range(SESSIONS):
            assert ask("chat", **{"x-nexus-session": f"s-{number}"}) == 200
        for _ in range(20):
            assert ask("chat", **{"x-lane": "beta"}) == 200
            assert ask("small") == 200
            assert ask("chat", guest) == 403
        for number in range(6):
            assert ask("broken", **{"x-nexus-session": f"s-{number}"}) == 200
        assert ask("who-is-there@example.com") == 404


def test_under_the_same_commit_nothing_moves(recorded: Recorded) -> None:
    told = recorded.simulate(f"HEAD:{PATH}", "--json").told
    assert (told["moved"], told["refused"], told["unknown"], told["rules"], told["policies"]) == (0, 0, {}, [], [])
    assert told["log"]["decisions"] == told["log"]["by_old"] == len(recorded.lines) == SESSIONS + 67
    assert told["decided"] == len(recorded.lines) - 20, "those that a policy turned away are not decided again"
    assert told["log"]["turned_away_then"] == 20
    assert all(before == after for model in told["models"].values() for before, after in model["asked_first"].values())
    assert recorded.simulate(recorded.repository.folder, "--json").told == told, "a folder is as good as its commit"


def test_another_weight_moves_its_share_and_moves_nobody_back(recorded: Recorded, tmp_path: Path) -> None:
    first = recorded.under(tmp_path / "55", at_percent(55))
    moved = [bucket for bucket in recorded.buckets() if 4000 <= bucket < 5500]
    of_chat = [one for one in first["changes"] if one["model"] == "chat"]
    split = [line for line in recorded.of("chat") if line["splits"]]
    assert [(one["from"], one["to"]) for one in of_chat] == [("old", "new")]
    assert of_chat[0]["buckets"] == [min(of_chat[0]["buckets"]), max(of_chat[0]["buckets"])]
    assert of_chat[0]["count"] == sum(4000 <= line["splits"][0]["bucket"] < 5500 for line in split)
    assert abs(of_chat[0]["count"] / len(split) - 0.15) < 4 * (0.15 * 0.85 / len(split)) ** 0.5, "about 15 %"
    assert len(moved) == of_chat[0]["count"]
    counts = [recorded.under(tmp_path / str(percent), at_percent(percent))["moved"] for percent in (41, 55, 80, 100)]
    assert counts == sorted(counts)
    assert counts[-1] == sum(bucket >= 4000 for line in recorded.lines for bucket in _bucket(line))


def _bucket(line: dict[str, Any]) -> list[int]:
    return [one["bucket"] for one in line["splits"]]


def test_a_model_that_goes_is_refused_to_those_who_ask_for_it(recorded: Recorded, tmp_path: Path) -> None:
    routes = changed(lambda routes: routes["routes"].pop("small"))
    folder = write_routes(tmp_path / "new", {"all": routes})
    told = recorded.simulate(folder, "--json").told
    assert (told["refused"], told["models"]["small"]["refused"], told["moved"]) == (20, 20, 20)
    assert told["changes"] == [
        {"model": "small", "from": "old", "to": "404 model_not_found", "count": 20, "buckets": None}
    ]
    assert told["rules"] == [{"name": "routes.small", "change": "removed"}]
    bounded = recorded.simulate(folder, "--max-refused", "19")
    assert (bounded.status, "BEYOND: 20 would be refused, and at most 19 may" in bounded.out) == (1, True)
    assert recorded.simulate(folder, "--max-refused", "20", "--max-moved", "50").status == 0
    assert recorded.simulate(folder, "--max-moved", "1").status == 1


def test_a_policy_is_told_with_what_no_log_can_show(recorded: Recorded, tmp_path: Path) -> None:
    policies = {"team": {"models": ["chat"], "requests_per_minute": 5}}
    told = recorded.under(tmp_path, changed(lambda routes: routes.update(policies=policies)))
    assert (told["moved"], told["concerned_by_policies"]) == (0, 20 + 6)
    (policy,) = told["policies"]
    assert (policy["name"], policy["change"], policy["gains"]) == ("policies.team", "added", [])
    assert policy["loses"] == ["broken", "small"]
    assert ["requests_per_minute", "nothing said", "5"] in policy["fields"]
    said = recorded.simulate(tmp_path / "new")
    assert "at most 26 decisions are for models that they open or close" in said.out
    closed = changed(lambda routes: routes.update(subjects={"*": {"models": ["chat"]}}))
    assert recorded.under(tmp_path / "other", closed)["policies"][0]["gains"] == ["chat"], "tokens had none"


def test_what_the_log_cannot_know_is_counted_and_not_guessed(recorded: Recorded, tmp_path: Path) -> None:
    def edit(routes: dict[str, Any]) -> None:
        routes["routes"]["chat"]["rollout"] = "cafe"
        routes["routes"]["small"]["match"] = [{"header": "x-new", "value": "1", "upstream": "lab"}]

    told = recorded.under(tmp_path, changed(edit))
    assert told["unknown"] == {
        "a place in the split of chat is drawn anew": SESSIONS + 6,
        "the rule for x-new is new": 20,
    }
    assert {name: one["unknown"] for name, one in told["models"].items()} == {
        **{"chat": SESSIONS, "small": 20, "broken": 6, "(names that no route had)": 0},
    }
    assert told["moved"] == 0


def test_who_was_turned_away_before_an_engine_was_looked_for_is_not_told_as_unmoved(
    recorded: Recorded, tmp_path: Path
) -> None:
    line = next(line for line in recorded.of("chat") if line["splits"] and line["splits"][0]["bucket"] >= 4000)
    limited = line | {"tries": None, "splits": [], "rules": [], "choices": []}
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(line) + "\n" + json.dumps(limited) + "\n")
    at = ("--log", log, "--repository", recorded.repository.root, "--json")
    all_new = write_routes(tmp_path / "all", {"all": at_percent(100)})
    told = command("simulate", f"HEAD:{PATH}", all_new, *at).told
    assert (told["decided"], told["moved_percent"], told["models"]["chat"]["unknown"]) == (1, 100.0, 1)
    assert told["models"]["chat"]["asked_first"] == {"old": [1, 0], "new": [0, 1]}
    gone = changed(lambda routes: (routes["routes"].pop("chat"), routes["routes"].pop("broken")))
    assert command("simulate", f"HEAD:{PATH}", write_routes(tmp_path / "gone", {"all": gone}), *at).told["refused"] == 2


def test_what_is_taken_to_be_so_is_told(recorded: Recorded, tmp_path: Path) -> None:
    told = recorded.under(tmp_path, changed(lambda one: one["routes"]["broken"].update(fallbacks=["small", "chat"])))
    assert told["models"]["broken"]["moved"] == told["assumed"]["that the caller may use the fallback small"] == 6
    assert {one["to"].removeprefix("nobody > ").removesuffix(" (changed)") for one in told["changes"]} == {"old"}


def test_an_engine_in_another_place_is_another_engine(recorded: Recorded, tmp_path: Path) -> None:
    told = recorded.under(tmp_path, changed(lambda one: one["upstreams"]["lab"].update(release=RELEASE)))
    assert told["changes"] == [{"model": "chat", "from": "lab", "to": "lab (changed)", "count": 20, "buckets": None}]
    assert told["rules"] == [{"name": "upstreams.lab", "change": "changed"}]


def test_a_provider_at_another_address_is_another_engine(recorded: Recorded, tmp_path: Path) -> None:
    def at(place: str) -> Path:
        hosted = {"url": "litellm://openai/gpt-4o", "api_base": f"http://{place}:1", "credential_env": "KEY"}
        return write_routes(tmp_path / place, {"all": changed(lambda one: one["upstreams"].update(old=hosted))})

    told = recorded.simulate(at("there"), "--json", old=at("here")).told
    assert (told["models"]["small"]["decided"], told["models"]["small"]["moved"]) == (20, 20)


def test_a_pull_request_is_told_the_same_twice(recorded: Recorded, tmp_path: Path) -> None:
    folder = write_routes(tmp_path / "new", {"all": at_percent(100)})
    said, again = (recorded.simulate(folder, "--markdown").out for _ in range(2))
    assert said == again
    moved = sum(bucket >= 4000 for bucket in recorded.buckets())
    total = SESSIONS + 20
    assert said.startswith("### What moves: ")
    assert f"| chat | {total} | {moved} ({round(moved * 100 / total, 2):g} %) | 0 | 0 |" in said
    assert "| \\(names" not in said
    assert "- routes.chat: changed" in said


def test_a_log_that_lies_or_cannot_be_read_ends_with_1(recorded: Recorded, tmp_path: Path) -> None:
    line = copy.deepcopy(next(line for line in recorded.of("chat") if line["splits"]))
    line["splits"][0]["bucket"] = (line["splits"][0]["bucket"] + 5000) % 10_000
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(line) + "\nnot json\n")
    at = ("--repository", recorded.repository.root, "--json")
    said = command("simulate", f"HEAD:{PATH}", f"HEAD:{PATH}", "--log", log, *at)
    assert (said.status, said.told["sound"]) == (1, False)
    assert said.told["log"]["disagreements"] == ["log.jsonl:1"]
    assert said.told["log"]["unreadable"] == ["log.jsonl:2"]


def test_at_a_terminal_it_says_what_it_is_at(recorded: Recorded) -> None:
    at = str(recorded.repository.folder)
    status, shown = at_a_terminal("nexus-gateway", "simulate", at, at, "--log", str(recorded.log))
    assert status == 0, shown
    assert f"{len(recorded.lines)} decisions are made twice ..." in shown


@pytest.mark.parametrize("new", ["no-such-folder", f"no-such-commit:{PATH}", "HEAD:no/such/path", ":x", "HEAD:"])
def test_routes_that_are_not_there_end_with_2(recorded: Recorded, new: str) -> None:
    said = recorded.simulate(new)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("nexus-gateway: ")


def test_a_log_that_is_not_there_or_is_no_log_of_these_routes_ends_with_2(recorded: Recorded, tmp_path: Path) -> None:
    at = (f"HEAD:{PATH}", f"HEAD:{PATH}", "--repository", recorded.repository.root, "--log")
    assert command("simulate", *at, tmp_path / "none").status == 2
    (tmp_path / "empty.jsonl").write_text("")
    assert command("simulate", *at, tmp_path / "empty.jsonl").status == 2
