"""Our own client against a real gateway: answers with their provenance, and retries that call an engine once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from nexus_client import Answer, AsyncClient, BrokenOff, Client, Refused, Retries, Unreachable
from nexus_client.asking import Question
from nexus_release.commands.ask import command
from nexus_release.errors import BadInput
from nexus_release.local.free_ports import free_port

from ..support.gateway import PLAIN, RELEASE, Gateway, direct, write_routes
from ..support.upstream import Engine

KEY = "dev-key"
AT_ONCE = Retries(tries=3, first_seconds=0.0)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    running = Engine().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("asked")
    files = {
        "chat": direct("chat", "mock://local"),
        "slow": direct("slow", "mock://slow?ttft=0.2"),
        **{name: direct(name, engine.url(name)) for name in ("reset", "late-error-event", "400", "short")},
    }
    env = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=env).wait()
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(gateway.url, KEY, retries=AT_ONCE, verify=PLAIN) as made:
        yield made


def test_a_whole_answer_says_what_made_it(client: Client, gateway: Gateway) -> None:
    answer = client.chat("chat", "hello", max_tokens=16)
    assert answer.text == "This is the mock upstream."
    assert answer.finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt, answer.usage.completion) == (1, 5)
    assert (answer.provenance.release, answer.provenance.route) == (RELEASE, "chat")
    assert answer.provenance.revision == gateway.config()["revision"]
    assert answer.provenance.request
    assert not answer.provenance.replayed


def test_a_stream_says_it_before_its_first_word_and_is_whole_at_its_end(client: Client) -> None:
    with client.stream("chat", [{"role": "user", "content": "hello"}]) as stream:
        assert stream.provenance.release == RELEASE
        with pytest.raises(BrokenOff, match="before its end mark"):
            stream.answer()
        pieces = list(stream)
        answer = stream.answer()
    assert len(pieces) > 1
    assert answer.text == "".join(pieces) == "This is the mock upstream."
    assert answer.usage is not None
    assert answer.usage.completion == 5


def test_the_same_with_an_event_loop_and_many_at_once(gateway: Gateway) -> None:
    async def ask() -> tuple[list[Answer], str, list[str]]:
        async with AsyncClient(gateway.url, KEY, retries=AT_ONCE, verify=PLAIN) as client:
            answers = await asyncio.gather(*(client.chat("chat", f"question {number}") for number in range(8)))
            async with client.stream("chat", "hello") as stream:
                text = "".join([piece async for piece in stream])
            return list(answers), text, await client.models()

    answers, text, models = asyncio.run(ask())
    assert {answer.text for answer in answers} == {text} == {"This is the mock upstream."}
    assert len({answer.provenance.request for answer in answers}) == 8
    assert models == ["400", "chat", "late-error-event", "reset", "short", "slow"]


def test_the_same_key_gets_the_kept_answer(client: Client) -> None:
    first = client.chat("chat", "again", idempotency_key="order-1")
    second = client.chat("chat", "again", idempotency_key="order-1")
    assert second.provenance.replayed
    assert second.raw == first.raw
    with pytest.raises(Refused) as refused:
        client.chat("chat", "something else", idempotency_key="order-1")
    assert (refused.value.status, refused.value.code) == (409, "idempotency_conflict")


def test_a_refusal_names_code_field_and_request(client: Client, gateway: Gateway) -> None:
    with pytest.raises(Refused) as refused:
        client.chat("nobody", "hello")
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")
    assert refused.value.provenance.request
    with pytest.raises(Refused, match=r"400 invalid_body: .*max_tokens"):
        client.chat("chat", "hello", max_tokens="many")
    with Client(gateway.url, "wrong", verify=PLAIN) as stranger, pytest.raises(Refused, match="401 invalid_api_key"):
        stranger.models()


def test_a_stream_that_breaks_off_gives_what_came_and_is_not_asked_again(client: Client, engine: Engine) -> None:
    before = len(engine.of("late-error-event"))
    heard: list[str] = []
    with pytest.raises(BrokenOff) as broken, client.stream("late-error-event", "hello") as stream:
        heard.extend(stream)
    assert broken.value.text == "".join(heard) != ""
    assert broken.value.provenance.request
    assert len(engine.of("late-error-event")) == before + 1


def test_a_request_that_cannot_get_better_is_asked_once_and_a_failed_one_as_often_as_was_said(
    client: Client, engine: Engine
) -> None:
    before = {name: len(engine.of(name)) for name in ("400", "reset")}
    with pytest.raises(Refused, match="400"):
        client.chat("400", "hello")
    with pytest.raises(Refused, match="502 upstream_failed"):
        client.chat("reset", "hello")
    assert len(engine.of("400")) == before["400"] + 1
    assert len(engine.of("reset")) == before["reset"] + AT_ONCE.tries


def test_nobody_there_is_told_with_the_number_of_tries() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, KEY, retries=AT_ONCE, verify=PLAIN) as client, pytest.raises(Unreachable) as told:
        client.chat("chat", "hello")
    assert (told.value.url, told.value.tries) == (url, 3)


class Lossy:
    """A proxy before the gateway that loses the first answer, after the gateway has made it."""

    def __init__(self, gateway: Gateway) -> None:
        self.keys: list[str] = []
        lossy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                key = self.headers["idempotency-key"]
                head = {"authorization": f"Bearer {KEY}", "idempotency-key": key, "content-type": "application/json"}
                url = gateway.url + self.path
                answer = httpx.post(url, content=body, headers=head, timeout=30, verify=PLAIN)
                lossy.keys.append(key)
                if len(lossy.keys) == 1:
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("content-length", str(len(answer.content)))
                self.send_header("idempotency-replayed", answer.headers.get("idempotency-replayed", ""))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, format: str, *args: Any) -> None:
                """The test says what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Lossy:
        self._thread.start()
        return self

    def __exit__(self, *of: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


def test_an_answer_that_was_lost_on_its_way_is_given_again_and_not_made_again(gateway: Gateway) -> None:
    with Lossy(gateway) as lossy, Client(lossy.url, KEY, retries=AT_ONCE, verify=PLAIN) as client:
        answer = client.chat("chat", "hello")
    assert answer.provenance.replayed
    assert len(lossy.keys) == 2
    assert len({*lossy.keys}) == 1


def test_the_same_holds_with_an_event_loop_and_a_broken_stream_is_told_there_too(
    gateway: Gateway, engine: Engine
) -> None:
    before = len(engine.of("late-error-event"))

    async def asked(lossy: str) -> tuple[Answer, BrokenOff, list[str]]:
        async with AsyncClient(lossy, KEY, retries=AT_ONCE, verify=PLAIN) as client:
            answer = await client.chat("chat", "hello")
        heard: list[str] = []
        async with (
            AsyncClient(gateway.url, KEY, retries=AT_ONCE, verify=PLAIN) as client,
            client.stream("late-error-event", "hello") as stream,
        ):
            try:
                async for piece in stream:
                    heard.append(piece)
            except BrokenOff as broken:
                return answer, broken, heard
        raise AssertionError("a broken stream was taken for a whole one")

    with Lossy(gateway) as lossy:
        answer, broken, heard = asyncio.run(asked(lossy.url))
    assert answer.provenance.replayed
    assert (len(lossy.keys), len({*lossy.keys})) == (2, 1)
    assert broken.text == "".join(heard) != ""
    assert len(engine.of("late-error-event")) == before + 1


class Saying:
    """Whatever it is asked, it streams the same events."""

    def __init__(self, *events: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write("".join(f"data: {event}\n\n" for event in events).encode())

            def log_message(self, format: str, *args: Any) -> None:
                """The test says what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Saying:
        self._thread.start()
        return self

    def __exit__(self, *of: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


def test_a_text_may_have_every_mark_that_ends_lines_elsewhere() -> None:
    text = "one\u2028two\u0085three\x7f"
    event = json.dumps({"choices": [{"delta": {"content": text}}]}, ensure_ascii=False)

    async def heard(url: str) -> list[str]:
        async with AsyncClient(url, KEY, verify=PLAIN) as client, client.stream("chat", "hello") as stream:
            return [piece async for piece in stream]

    with Saying(event, "[DONE]") as saying:
        with Client(saying.url, KEY, verify=PLAIN) as client, client.stream("chat", "hello") as stream:
            assert list(stream) == [text]
        assert asyncio.run(heard(saying.url)) == [text]


@pytest.mark.parametrize("event", ["no JSON", "[1]", '{"choices": [1]}', '{"error": "in a text"}', '{"choices": 1}'])
def test_a_stream_that_is_none_of_openais_is_broken_off(event: str) -> None:
    with (
        Saying(event, "[DONE]") as saying,
        Client(saying.url, KEY, verify=PLAIN) as client,
        client.stream("chat", "hello") as stream,
        pytest.raises(BrokenOff),
    ):
        list(stream)


def test_text_of_every_script_and_a_session_by_its_digest_get_through(client: Client, engine: Engine) -> None:
    session = hashlib.sha256("김-42".encode()).hexdigest()
    with pytest.raises(Refused, match="400"):
        client.chat("400", "무엇? \U0001f600 \u2028", session=session, user="김")
    sent = json.loads(engine.of("400")[-1].body)
    assert (sent["messages"][0]["content"], sent["user"]) == ("무엇? \U0001f600 \u2028", "김")


@pytest.mark.parametrize(
    ("tries", "status", "headers", "wait"),
    [
        (1, None, {}, 0.5),
        (2, None, {}, 1.0),
        (3, 503, {}, 2.0),
        (4, 503, {}, None),
        (1, 400, {}, None),
        (1, 500, {}, None),
        (1, 409, {"x-should-retry": "false"}, None),
        (1, 429, {"retry-after": "3"}, 3.5),
        (1, 429, {"retry-after": "60"}, None),
        (1, 503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.5),
    ],
)
def test_when_a_request_is_sent_again(tries: int, status: int | None, headers: Mapping[str, str], wait: float) -> None:
    retries = Retries(tries=4, first_seconds=1.0, longest_seconds=8.0, chance=lambda: 0.5)
    assert retries.wait(tries, status, headers) == wait


def test_a_question_has_one_key_however_often_it_is_sent() -> None:
    assert Question("m", "q", False).headers() != Question("m", "q", False).headers()
    assert Question("m", "q", False, idempotency_key="k", session="s").headers() == {
        "content-type": "application/json",
        "idempotency-key": "k",
        "x-nexus-session": "s",
    }


def test_nexus_ask_prints_the_answer_and_what_made_it(gateway: Gateway, tmp_path: Path) -> None:
    env = {"NEXUS_GATEWAY": gateway.url, "NEXUS_GATEWAY_KEY": KEY, "NEXUS_STATE": str(tmp_path)}
    told = CliRunner().invoke(command, ["chat", "hello"], env=env, catch_exceptions=False)
    assert told.stdout == "This is the mock upstream.\n"
    assert f"release   {RELEASE}" in told.stderr
    document = json.loads(CliRunner().invoke(command, ["chat", "hello", "--json"], env=env).stdout)
    assert document["text"] == "This is the mock upstream."
    assert document["provenance"]["release"] == RELEASE
    unsendable = CliRunner().invoke(command, ["chat", "hello", "--session", "김"], env=env)
    assert isinstance(unsendable.exception, BadInput)
    assert unsendable.exception.field == "session"
    refused = CliRunner().invoke(command, ["nobody", "hello"], env=env)
    assert "404 model_not_found" in str(refused.exception)
