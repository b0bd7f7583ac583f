"""A request that is sent again with the same Idempotency-Key: the engine is called once."""

from __future__ import annotations

import json
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nexus_gateway.idempotency.key import name_of
from nexus_gateway.keys import Key, digest

from ..support.gateway import RELEASE, Gateway, code, direct, until, write_routes
from ..support.spoken import ASKED, STREAMS
from ..support.upstream import WORDS, Engine

OTHER_KEY = "other-key"
POOR_KEY, COUNTED_KEY = "poor-key", "counted-key"
MODELS = ("ok", "gated", "reset", "short", "400", "429", "500", "spoken")
LARGEST = 1 << 16


@pytest.fixture(scope="module")
def once(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that keeps answers of 64 KiB."""
    folder = tmp_path_factory.mktemp("once")
    files: dict[str, Any] = {name: direct(name, engine.url(name)) for name in MODELS}
    few = {"requests_per_minute": 4, "tokens_per_minute": 1000}
    policies = {f"env-{digest(key.encode()).hex()[:8]}": few for key in (POOR_KEY, COUNTED_KEY)}
    files["policies"] = {"policies": policies}
    env = {
        "GATEWAY_API_KEYS": f"dev-key,{OTHER_KEY},{POOR_KEY},{COUNTED_KEY}",
        "GATEWAY_IDEMPOTENCY_LARGEST_BYTES": str(LARGEST),
        "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000",
    }
    gateway = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=env).wait()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def keyed(name: str, **more: str) -> dict[str, str]:
    return {"idempotency-key": name, **more}


def outcomes(gateway: Gateway) -> dict[str, float]:
    lines = gateway.get("/metrics").text.splitlines()
    found = (line.split('"') for line in lines if line.startswith("gateway_idempotency_total"))
    return {parts[1]: float(parts[2].strip("} ")) for parts in found}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_same_answer_is_given_again_byte_for_byte(once: Gateway, engine: Engine, name: str, stream: bool) -> None:
    before = len(engine.of("ok"))
    first = once.ask("ok", stream=stream, headers=keyed(name, **{"x-request-id": "one"}))
    again = once.ask("ok", stream=stream, headers=keyed(name, **{"x-request-id": "two"}))
    assert len(engine.of("ok")) == before + 1
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.content.endswith(b"data: [DONE]\n\n" if stream else b"}")
    same = ("content-type", "x-nexus-release", "x-nexus-route", "x-nexus-revision", "content-length", "cache-control")
    assert [again.headers.get(header) for header in same] == [first.headers.get(header) for header in same]
    assert again.headers["x-nexus-release"] == RELEASE
    assert (again.headers["idempotency-replayed"], again.headers["idempotency-original-request-id"]) == ("true", "one")
    assert again.headers.get_list("x-request-id") == ["two"]
    assert "idempotency-replayed" not in first.headers


@pytest.mark.parametrize(
    ("path", "stream"), [*((path, False) for path in sorted(ASKED)), *((p, True) for p in STREAMS)]
)
def test_every_path_is_answered_once(once: Gateway, engine: Engine, name: str, path: str, stream: bool) -> None:
    body = {"model": "spoken", **ASKED[path], **({"stream": True} if stream else {})}
    before = len(engine.of("spoken"))
    headers = {"authorization": "Bearer dev-key", **keyed(name)}
    first, again = (httpx.post(once.url + path, json=body, headers=headers, timeout=30) for _ in range(2))
    assert len(engine.of("spoken")) == before + 1
    assert first.status_code == again.status_code == 200
    assert first.content == again.content != b""


@pytest.mark.parametrize(
    "bad", [[b""], [b"x" * 256], ["é".encode()], [b"a\tb"], [b"one", b"two"]], ids=["empty", "long", "é", "tab", "two"]
)
def test_a_bad_key_is_refused_and_calls_nobody(once: Gateway, engine: Engine, bad: list[bytes]) -> None:
    before = len(engine.seen)
    given = [(b"authorization", b"Bearer dev-key"), *((b"idempotency-key", value) for value in bad)]
    url, body = f"{once.url}/v1/chat/completions", {"model": "ok", "messages": []}
    answer = httpx.post(url, json=body, headers=given, timeout=30)
    assert (answer.status_code, code(answer)) == (400, "invalid_idempotency_key")
    assert len(engine.seen) == before


def test_the_longest_key_is_taken(once: Gateway, engine: Engine) -> None:
    before = len(engine.of("ok"))
    assert [once.ask("ok", headers=keyed("~" * 255)).status_code for _ in range(2)] == [200, 200]
    assert len(engine.of("ok")) == before + 1


def test_another_body_or_session_is_a_conflict_that_no_library_asks_again_for(once: Gateway, name: str) -> None:
    assert once.ask("ok", headers=keyed(name)).status_code == 200
    other = [
        once.ask("ok", headers=keyed(name), temperature=1),
        once.ask("ok", headers=keyed(name, **{"x-nexus-session": "s"})),
    ]
    assert [(answer.status_code, code(answer)) for answer in other] == [(409, "idempotency_conflict")] * 2
    assert other[0].headers["x-should-retry"] == "false"
    assert once.ask("ok", headers=keyed(name)).headers["idempotency-replayed"] == "true", "the first stands"


def test_nobody_gets_what_another_caller_has_under_the_same_key(once: Gateway, engine: Engine, name: str) -> None:
    before = len(engine.of("ok"))
    for key in ("dev-key", OTHER_KEY):
        answer = once.ask("ok", headers=keyed(name, authorization=f"Bearer {key}"))
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers
    stranger = once.ask("ok", headers=keyed(name, authorization="Bearer wrong"))
    assert stranger.status_code == 401
    assert len(engine.of("ok")) == before + 2


def test_a_key_a_subject_and_another_key_of_the_tenant_are_different_callers() -> None:
    callers = [
        Key("jwt-a", None, admin=False),
        Key("jwt-a", None, admin=False, subject="a"),
        Key("jwt-a", None, admin=False, subject="b"),
        Key("one", None, admin=False, tenant="team"),
        Key("other", None, admin=False, tenant="team"),
    ]
    assert len({name_of(b"k", caller, path) for caller in callers for path in ("/v1/messages", "/v1/rerank")}) == 10


@pytest.mark.parametrize(("model", "status"), [("429", 429), ("500", 502)])
def test_a_failure_is_not_kept(once: Gateway, engine: Engine, name: str, model: str, status: int) -> None:
    before = len(engine.of(model))
    answers = [once.ask(model, headers=keyed(name)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status] * 2
    assert len(engine.of(model)) == before + 2


def test_a_request_that_the_engine_finds_bad_stays_bad(once: Gateway, engine: Engine, name: str) -> None:
    before = len(engine.of("400"))
    first, again = (once.ask("400", headers=keyed(name)) for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (400, 400, first.content)
    assert len(engine.of("400")) == before + 1


@pytest.mark.parametrize("model", ["reset", "short"])
def test_a_stream_that_broke_is_asked_for_anew(once: Gateway, engine: Engine, name: str, model: str) -> None:
    before = len(engine.of(model))
    answers = [once.ask(model, stream=True, headers=keyed(name)) for _ in range(2)]
    assert ["stream_broken" in answer.text for answer in answers] == [True, True]
    assert len(engine.of(model)) == before + 2


def test_a_refusal_of_the_gateway_leaves_the_key_free(once: Gateway, name: str) -> None:
    poor = keyed(name, authorization=f"Bearer {POOR_KEY}")
    assert code(once.ask("ok", headers=poor, max_tokens=5000)) == "too_many_tokens"
    assert once.ask("ok", headers=poor).status_code == 200, "with another body: the first one was never sent"


def test_a_replay_counts_as_a_request_and_costs_no_tokens(once: Gateway, name: str) -> None:
    rich = {"authorization": f"Bearer {COUNTED_KEY}"}  # of which no minute before has counted any
    first = once.ask("ok", headers={**rich, **keyed(name)})
    again = once.ask("ok", headers={**rich, **keyed(name)})
    assert int(first.headers["x-ratelimit-remaining-requests"]) - 1 == int(
        again.headers["x-ratelimit-remaining-requests"]
    )
    assert "x-ratelimit-remaining-tokens" not in again.headers
    left = [once.ask("ok", headers={**rich, **keyed(name)}).status_code for _ in range(4)]
    assert left[-1] == 429
    line = until(
        lambda: [line for line in once.lines() if line.get("request_id") == again.headers["x-request-id"]],
        "it is logged",
    )[0]
    assert line["idempotency"] == "replayed"
    assert (line["prompt_tokens"], line["completion_tokens"]) == (0, 0)


def test_an_answer_above_the_bound_is_relayed_and_not_kept(once: Gateway, engine: Engine, name: str) -> None:
    before, counted = len(engine.of("gated")), outcomes(once).get("unkept", 0)
    answers = [once.ask("gated", bytes=LARGEST + 1, headers=keyed(name)) for _ in range(2)]
    assert all(len(answer.json()["text"]) == LARGEST + 1 for answer in answers)
    assert len(engine.of("gated")) == before + 2
    assert outcomes(once)["unkept"] == counted + 2


def test_what_is_kept_is_bounded_in_number_bytes_and_time(tmp_path: Path, engine: Engine) -> None:
    """The least recently used goes first."""
    routes = write_routes(tmp_path / "routes", {"gated": direct("gated", engine.url("gated"))})

    def given_again(gateway: Gateway, key: str, size: int = 0) -> bool:
        return "idempotency-replayed" in gateway.ask("gated", bytes=size, headers=keyed(key)).headers

    def serve(**env: str) -> Gateway:
        env = {f"GATEWAY_IDEMPOTENCY_{name}": value for name, value in env.items()}
        return Gateway(tmp_path, "--routes", str(routes), env=env).wait()

    few = serve(ENTRIES="2")
    assert [given_again(few, key) for key in ("a", "b", "a", "c")] == [False, False, True, False]
    assert [given_again(few, key) for key in ("a", "c", "b")] == [True, True, False]
    assert few.stop() == 0
    small = serve(TOTAL_BYTES="25000")
    assert [given_again(small, key, 10_000) for key in ("a", "b", "a", "c")] == [False, False, True, False]
    assert [given_again(small, key, 10_000) for key in ("a", "c", "b")] == [True, True, False]
    assert small.stop() == 0
    brief = serve(TTL_SECONDS="2")
    until(lambda: given_again(brief, "a"), "within its time it is given again")
    until(lambda: not given_again(brief, "a"), "its time is over")
    assert brief.stop() == 0


def test_the_sdk_s_own_retry_pays_once(once: Gateway, engine: Engine, name: str) -> None:
    """The answer is made and kept, and lost on its way: the library asks again by itself."""
    before = len(engine.of("ok"))
    with LosesTheFirstAnswer(once.port) as way:
        sdk = openai.OpenAI(base_url=f"http://127.0.0.1:{way.port}/v1", api_key="dev-key", max_retries=2)
        answer = sdk.chat.completions.with_raw_response.create(
            model="ok", messages=[{"role": "user", "content": "hi"}], extra_headers=keyed(name)
        )
    assert answer.parse().choices[0].message.content == "".join(WORDS)
    assert answer.headers["idempotency-replayed"] == "true"
    assert way.requests == 2
    assert len(engine.of("ok")) == before + 1


def test_the_sdk_does_not_repeat_a_conflict(once: Gateway, name: str) -> None:
    sdk = openai.OpenAI(base_url=f"{once.url}/v1", api_key="dev-key", max_retries=2)
    once.ask("ok", headers=keyed(name))
    before = outcomes(once).get("conflict", 0)
    with pytest.raises(openai.ConflictError):
        sdk.chat.completions.create(
            model="ok", messages=[{"role": "user", "content": "another"}], extra_headers=keyed(name)
        )
    assert outcomes(once)["conflict"] == before + 1


def test_what_came_of_the_key_is_in_the_log(once: Gateway, name: str) -> None:
    for _ in range(2):
        once.ask("ok", headers=keyed(name, **{"x-request-id": f"logged-{name}"}))

    def logged() -> list[dict[str, Any]]:
        return [line for line in once.lines() if line.get("request_id") == f"logged-{name}"]

    until(lambda: len(logged()) == 2, "both are logged")
    lines = logged()
    assert [line["idempotency"] for line in lines] == ["first", "replayed"]
    assert [line["release"] for line in lines] == [RELEASE] * 2
    assert name not in "".join(json.dumps({**line, "request_id": ""}) for line in lines), "keys are not logged"


class LosesTheFirstAnswer:
    """A way to the gateway that takes the whole first answer and closes the client's connection instead."""

    def __init__(self, to: int) -> None:
        self._to, self._listener = to, socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> LosesTheFirstAnswer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._to)) as gateway:
                gateway.sendall(_message(client))
                answer = _message(gateway)
                self.requests += 1
                if self.requests > 1:
                    client.sendall(answer)


def _message(source: socket.socket) -> bytes:
    """A head, and as many bytes after it as it says."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += source.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]  # both sides say it
    while len(body) < length:
        body += source.recv(65536)
    return head + b"\r\n\r\n" + body
