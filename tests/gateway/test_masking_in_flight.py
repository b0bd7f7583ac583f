"""Values that name a person or open a door do not reach an engine, or do not leave it, where a route says so."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nexus_gateway.keys import digest

from ..support.gateway import PLAIN, Gateway, code, until, write_routes
from ..support.parrot import CUTS, PATHS, said, streamed
from ..support.upstream import Engine

MAIL, CARD, PHONE, KEY = "kim.yuna@example.org", "4111 1111 1111 1111", "010-1234-5678", "sk-abcdefgh12345678"
TEXT = f"Write to {MAIL} or call {PHONE}; pay with {CARD}, twice to {MAIL}. The key is {KEY}"
SALT = "pepper"
HIDDEN = "Write to <EMAIL_1> or call <PHONE_1>; pay with <CARD_1>, twice to <EMAIL_1>. The key is <KEY_1>"
TOOL = {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}
MODES: dict[str, dict[str, Any]] = {
    "restored": {},
    "hidden": {"restore": False},
    "answers": {"requests": False, "answers": True},
    "mail-only": {"kinds": ["email"], "restore": False},
}


def asked(path: str, model: str, text: str = TEXT, **more: Any) -> dict[str, Any]:
    if path == "/v1/completions":
        return {"model": model, "prompt": text, **more}
    if path == "/v1/responses":
        return {"model": model, "input": [{"role": "user", "content": text}], **more}
    bound = {"max_tokens": 100} if path == "/v1/messages" else {}
    return {"model": model, "messages": [{"role": "user", "content": text}], **bound, **more}


@pytest.fixture(scope="module")
def masking(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("masking")
    upstreams: dict[str, Any] = {f"parrot-{size}": {"url": engine.url(f"parrot-{size}")} for size in CUTS}
    upstreams |= {name: {"url": engine.url(name)} for name in ("500", "no-json")}
    upstreams["chat-alone"] = {"url": engine.url("parrot-7"), "apis": ["chat"]}
    upstreams["tried"] = {"url": engine.url("parrot-1")}

    def route(upstream: str, masking: Any = None, **more: Any) -> dict[str, Any]:
        return {
            "strategy": "direct",
            "upstream": upstream,
            **({"masking": masking} if masking is not None else {}),
            **more,
        }

    routes = {f"{mode}-{size}": route(f"parrot-{size}", said) for mode, said in MODES.items() for size in CUTS}
    routes |= {
        "plain": route("parrot-7"),
        "translated": route("chat-alone", {"answers": True, "restore": False}),
        "failing": route("500", fallbacks=["hidden-7"]),
        "copied": route("parrot-7", shadow={"upstream": "tried", "masking": {}}),
        "no-json": route("no-json", MODES["answers"], tries=1),
    }
    policies = {"careful": {"masking": {"kinds": ["phone"], "restore": False}}}
    keys = [{"id": name, "digest": f"sha256:{digest(name.encode()).hex()}"} for name in ("dev-key", "careful")]
    (folder / "keys.yaml").write_text(json.dumps({"keys": keys}))
    document = {"upstreams": upstreams, "routes": routes, "policies": policies}
    files = write_routes(folder / "routes", {"all": document})
    env = {"GATEWAY_PII_HASH_SALT": SALT}
    running = Gateway(folder, "--routes", str(files), "--keys", str(folder / "keys.yaml"), env=env).wait()
    yield running
    assert running.stop() == 0
    assert not [value for value in (MAIL, CARD, PHONE, KEY) if value in running.log.read_text()]


def ask(gateway: Gateway, path: str, body: dict[str, Any], key: str = "dev-key") -> httpx.Response:
    return httpx.post(
        gateway.url + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=30, verify=PLAIN
    )


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def told(engine: Engine, size: int) -> str:
    """What the engine was told last."""
    return engine.of(f"parrot-{size}")[-1].body.decode()


@pytest.mark.parametrize("size", CUTS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("mode", "seen", "said_back"),
    [
        ("restored", HIDDEN, TEXT),
        ("hidden", HIDDEN, HIDDEN),
        ("answers", TEXT, HIDDEN),
        ("mail-only", TEXT.replace(MAIL, "<EMAIL_1>"), TEXT.replace(MAIL, "<EMAIL_1>")),
    ],
    ids=MODES,
)
def test_an_engine_sees_placeholders_and_a_client_what_its_route_says(
    masking: Gateway, engine: Engine, path: str, size: int, mode: str, seen: str, said_back: str
) -> None:
    model = f"{mode}-{size}"
    whole = ask(masking, path, asked(path, model))
    assert seen in told(engine, size)
    assert said(path, whole.json()) == said_back
    stream = events(ask(masking, path, asked(path, model, stream=True)))
    assert seen in told(engine, size)
    assert streamed(path, stream) == said_back


NAMES = ("user", "safety_identifier", "prompt_cache_key")


def test_an_engine_tells_callers_apart_whose_names_are_masked(masking: Gateway, engine: Engine) -> None:
    def names(value: str, key: str = "dev-key", model: str = "hidden-7") -> list[str]:
        body = asked("/v1/chat/completions", model, **dict.fromkeys(NAMES, value))
        assert ask(masking, "/v1/chat/completions", body, key).status_code == 200
        found = json.loads(told(engine, 7))
        return [found[name] for name in NAMES]

    kim, lee = names(MAIL), names("lee@example.org")
    assert len({*kim, *lee, *names(MAIL, "careful")}) == 3, "each of them is another, and another tenant's too"
    assert names(MAIL) == kim
    by_every_gateway = hmac.new(f"{SALT}dev-key".encode(), MAIL.encode(), "sha256").hexdigest()
    assert kim[0] == by_every_gateway[:32]
    assert names("anna") == ["anna"] * len(NAMES)
    assert names(MAIL, model="plain") == [MAIL] * len(NAMES)


@pytest.mark.parametrize("listed", [[MAIL], {"of": MAIL}])
def test_what_is_no_name_has_a_placeholder(masking: Gateway, engine: Engine, listed: Any) -> None:
    body = asked("/v1/chat/completions", "hidden-7", prompt_cache_key=listed)
    assert ask(masking, "/v1/chat/completions", body).status_code == 200
    assert MAIL not in told(engine, 7)
    assert "<EMAIL_1>" in json.dumps(json.loads(told(engine, 7))["prompt_cache_key"])


@pytest.mark.parametrize("size", CUTS)
def test_what_a_response_repeats_at_its_end_is_what_its_pieces_said(masking: Gateway, size: int) -> None:
    stream = events(ask(masking, "/v1/responses", asked("/v1/responses", f"answers-{size}", stream=True)))
    by_kind = {event["type"]: event for event in stream}
    assert by_kind["response.output_text.done"]["text"] == HIDDEN
    assert by_kind["response.content_part.done"]["part"]["text"] == HIDDEN
    assert by_kind["response.completed"]["response"]["output"][0]["content"][0]["text"] == HIDDEN
    numbers = [event["sequence_number"] for event in stream]
    assert numbers == list(range(len(stream)))


@pytest.mark.parametrize("size", CUTS)
def test_the_end_of_a_text_comes_before_the_event_that_ends_it(masking: Gateway, size: int) -> None:
    text = f"ask {MAIL}"
    chat = events(ask(masking, PATHS[0], asked(PATHS[0], f"answers-{size}", text, stream=True)))
    ends = [place for place, event in enumerate(chat) if event["choices"] and event["choices"][0]["finish_reason"]]
    assert streamed(PATHS[0], chat[: ends[0]]) == "ask <EMAIL_1>"
    blocks = events(ask(masking, "/v1/messages", asked("/v1/messages", f"answers-{size}", text, stream=True)))
    stop = [event["type"] for event in blocks].index("content_block_stop")
    assert streamed("/v1/messages", blocks[:stop]) == "ask <EMAIL_1>"


def test_several_answers_at_once_do_not_end_each_other(masking: Gateway) -> None:
    chat = events(ask(masking, PATHS[0], asked(PATHS[0], "answers-1", f"ask {MAIL}", stream=True, n=2)))
    for number in (0, 1):
        choices = [choice for event in chat for choice in event["choices"] if choice["index"] == number]
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == "ask <EMAIL_1>"
        assert choices[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("text", [f'say "{MAIL}" \\ {PHONE}', CARD.replace(" ", "")], ids=["text", "number"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", CUTS)
def test_arguments_of_calls_stay_json(masking: Gateway, size: int, stream: bool, text: str) -> None:
    answer = ask(masking, PATHS[0], asked(PATHS[0], f"answers-{size}", text, stream=stream, tools=[TOOL]))
    found = streamed(PATHS[0], events(answer)) if stream else said(PATHS[0], answer.json())
    hidden = text.replace(MAIL, "<EMAIL_1>").replace(PHONE, "<PHONE_1>").replace(CARD.replace(" ", ""), "<CARD_1>")
    assert json.loads(found) == {"to": hidden, "copies": 1}


def test_arguments_get_the_clients_own_values_back(masking: Gateway) -> None:
    for stream in (False, True):
        answer = ask(masking, PATHS[0], asked(PATHS[0], "restored-1", f"to {MAIL}", stream=stream, tools=[TOOL]))
        found = streamed(PATHS[0], events(answer)) if stream else said(PATHS[0], answer.json())
        assert json.loads(found)["to"] == f"to {MAIL}"


def test_arguments_in_a_clients_history_stay_json_too(masking: Gateway, engine: Engine) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": '{"card": 4111111111111111}'}}
    history = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "user", "content": "again"}]
    ask(masking, PATHS[0], {"model": "hidden-7", "messages": history})
    seen = json.loads(told(engine, 7))["messages"][0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(seen) == {"card": "<CARD_1>"}


def test_tokens_that_would_spell_a_value_out_are_left_out(masking: Gateway) -> None:
    answer = ask(masking, PATHS[0], asked(PATHS[0], "answers-7", MAIL, logprobs=True))
    assert answer.json()["choices"][0]["logprobs"] is None
    assert MAIL not in answer.text
    assert MAIL in ask(masking, PATHS[0], asked(PATHS[0], "plain", MAIL, logprobs=True)).text


def test_a_translated_answer_is_masked_in_the_clients_api(masking: Gateway) -> None:
    path = "/v1/messages"
    assert said(path, ask(masking, path, asked(path, "translated")).json()) == HIDDEN
    assert streamed(path, events(ask(masking, path, asked(path, "translated", stream=True)))) == HIDDEN


def test_a_fallback_masks_as_its_own_route_says(masking: Gateway, engine: Engine) -> None:
    answer = ask(masking, PATHS[0], asked(PATHS[0], "failing"))
    assert answer.headers["x-fallback-model"] == "hidden-7"
    assert MAIL in engine.of("500")[-1].body.decode()
    assert HIDDEN in told(engine, 7)


def test_a_caller_s_policy_masks_on_every_route(masking: Gateway, engine: Engine) -> None:
    ask(masking, PATHS[0], asked(PATHS[0], "plain"), key="careful")
    assert TEXT.replace(PHONE, "<PHONE_1>") in told(engine, 7)
    ask(masking, PATHS[0], asked(PATHS[0], "plain"))
    assert TEXT in told(engine, 7)


def test_the_stricter_of_route_and_policy_decides_what_comes_back(masking: Gateway) -> None:
    answer = ask(masking, PATHS[0], asked(PATHS[0], "restored-7"), key="careful")
    assert said(PATHS[0], answer.json()) == HIDDEN, "the policy wants nothing back"


def test_a_copy_is_masked_where_its_rule_says_so_and_the_original_is_not(masking: Gateway, engine: Engine) -> None:
    before = len(engine.of("parrot-1"))
    answer = ask(masking, PATHS[0], asked(PATHS[0], "copied"))
    assert said(PATHS[0], answer.json()) == TEXT
    until(lambda: len(engine.of("parrot-1")) > before, "the copy is made")
    assert HIDDEN in told(engine, 1)


def test_a_placeholder_that_the_client_wrote_itself_is_not_taken_for_ours(masking: Gateway, engine: Engine) -> None:
    text = f"<EMAIL_1> is a placeholder, {MAIL} is not"
    answer = ask(masking, PATHS[0], asked(PATHS[0], "restored-7", text))
    assert "<EMAIL_1> is a placeholder, <EMAIL_2> is not" in told(engine, 7)
    assert said(PATHS[0], answer.json()) == text


def test_an_answer_that_cannot_be_looked_at_does_not_go_on(masking: Gateway) -> None:
    answer = ask(masking, PATHS[0], asked(PATHS[0], "no-json"))
    assert (answer.status_code, code(answer)) == (502, "upstream_failed")


@pytest.mark.parametrize("stream", [False, True])
def test_a_long_text_is_masked_like_a_short_one(masking: Gateway, engine: Engine, stream: bool) -> None:
    path, text = "/v1/responses", f"{TEXT}. " * 2000
    answer = ask(masking, path, asked(path, "restored-7", text, stream=stream))
    assert told(engine, 7).count("<EMAIL_1>") == 4000
    assert (streamed(path, events(answer)) if stream else said(path, answer.json())) == text


def test_openai_s_own_client_reads_masked_streams(masking: Gateway) -> None:
    client = openai.OpenAI(base_url=f"{masking.url}/v1", api_key="dev-key", max_retries=0)
    with client, client.responses.stream(model="answers-1", input=[{"role": "user", "content": TEXT}]) as stream:
        assert stream.get_final_response().output_text == HIDDEN


def test_what_was_masked_is_counted_by_kind_and_never_told(masking: Gateway) -> None:
    path = PATHS[0]
    request_id = ask(masking, path, asked(path, "hidden-7")).headers["x-request-id"]
    line = until(
        lambda: next((line for line in masking.lines() if line.get("request_id") == request_id), None), "it is logged"
    )
    assert line["masked_values"] == 4
    metrics = masking.get("/metrics").text
    assert 'gateway_masked_values_total{data="card",direction="requests"}' in metrics
    assert 'gateway_masked_values_total{data="email",direction="answers"}' in metrics


def test_masking_that_masks_nothing_is_refused(tmp_path: Path) -> None:
    nothing = {"requests": False, "answers": False}
    routes = {"chat": {"strategy": "direct", "upstream": "u", "masking": nothing}}
    document = {"upstreams": {"u": {"url": "mock://local"}}, "routes": routes}
    refused = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", {"all": document})))
    assert refused.process.wait(60) == 2
    assert "routes.chat" in refused.log.read_text()
    assert "masks nothing" in refused.log.read_text()
