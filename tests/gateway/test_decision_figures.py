"""What a decision line tells of how much was asked and answered, for every API, whole and streamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_gateway.endings import ending_in, ending_of

from ..support.decision_log import lines, replay
from ..support.gateway import RELEASE, Gateway, direct, write_routes

CHAT = {"messages": [{"role": "user", "content": "hello"}]}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"prompt": "hello"},
    "/v1/messages": {**CHAT, "max_tokens": 9},
    "/v1/responses": {"input": "hello"},
}
ENDS = {"/v1/messages": "end_turn", "/v1/responses": "completed"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("figures")
    routes = write_routes(folder / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(folder, "--routes", str(routes), "--decisions", str(folder / "log")).wait()
    for path, body in ASKED.items():
        for stream in (False, True):
            text = json.dumps({"model": "chat", **body, "stream": stream})
            head = {"authorization": "Bearer dev-key", "content-type": "application/json"}
            answer = httpx.post(gateway.url + path, content=text, headers=head, timeout=30)
            assert answer.status_code == 200, answer.text
    assert gateway.ask("nobody").status_code == 404
    assert gateway.stop() == 0
    return folder, lines(folder / "log")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKED)
def test_each_answer_has_its_figures(recorded: tuple[Path, list[dict[str, Any]]], path: str, stream: bool) -> None:
    (line,) = [
        one for one in recorded[1] if (one["path"], one["figures"]["stream"], one["status"]) == (path, stream, 200)
    ]
    asked = len(json.dumps({"model": "chat", **ASKED[path], "stream": stream}))
    figures = line["figures"]
    assert (line["release"], figures["request_bytes"]) == (RELEASE, asked)
    assert (figures["prompt_tokens"], figures["completion_tokens"]) == (1, 5)
    assert figures["answer_bytes"] > 100
    assert figures["ending"] == ENDS.get(path, "stop")


def test_who_is_turned_away_has_figures_of_the_request_alone(recorded: tuple[Path, list[dict[str, Any]]]) -> None:
    (line,) = [one for one in recorded[1] if one["status"] == 404]
    assert line["release"] is None
    assert line["figures"] | {"request_bytes": 0} == {
        "stream": False, "request_bytes": 0, "answer_bytes": 0, "prompt_tokens": 0, "completion_tokens": 0,
        "ending": None,
    }  # fmt: skip


def test_such_lines_are_decided_again_as_ever(recorded: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, written = recorded
    done = replay(folder / "log", "--routes", folder / "routes")
    assert (done.status, done.told["agree"]) == (0, len(written))


@pytest.mark.parametrize(
    ("document", "ending"),
    [
        ({"choices": [{"finish_reason": "content_filter"}]}, "content_filter"),
        ({"choices": [{"finish_reason": None}, {"finish_reason": "length"}]}, "length"),
        ({"choices": [{"finish_reason": "person@example.com"}]}, "other"),
        ({"choices": [{"finish_reason": ["stop"]}]}, "other"),
        ({"choices": "stop"}, ""),
        ({"type": "message_delta", "delta": {"stop_reason": "refusal"}}, "refusal"),
        ({"response": {"object": "response", "status": "incomplete",
                       "incomplete_details": {"reason": "max_output_tokens"}}}, "max_output_tokens"),
        ({"object": "response", "status": "queued"}, ""),
        ({"response": {"object": "response", "status": "in_progress"}}, ""),
        ({"object": "list", "data": []}, ""),
    ],
)  # fmt: skip
def test_an_ending_is_one_of_a_few_words(document: dict[str, Any], ending: str) -> None:
    assert ending_of(document) == ending


def test_of_a_stream_the_last_event_that_says_it_counts() -> None:
    events = [{"choices": [{"finish_reason": "length"}]}, {"choices": [], "usage": {}}, {"type": "ping"}]
    assert ending_in([*(json.dumps(event).encode() for event in events), b"not JSON", b"[]"]) == "length"
