"""The worker as a client meets it: a real process, a real socket, OpenAI's own SDK, a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from nexus_gateway.surfaces import SURFACES
from nexus_release.manifests.engines import ENGINES
from nexus_worker.engines.ct2 import Ct2Model

from ..support.checkpoints import CONTEXT, write_llama
from ..support.worker import Worker

MODEL = "tiny"
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How many items are there?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("served") / "model")


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Worker]:
    with Worker(f"--model={folder}", f"--served-model-name={MODEL}", "--max-num-seqs=2") as worker:
        yield worker


@pytest.fixture(scope="module")
def client(worker: Worker) -> Iterator[OpenAI]:
    with worker.client() as client:
        yield client


def greedy(folder: Path, prompt: list[int], count: int) -> list[int]:
    """The most likely tokens by teacher-forced scores, which share no code with the engine's decoding."""
    model, found = Ct2Model.load(folder), list(prompt)
    for _ in range(count):
        found.append(int(model.log_probs([found])[0][-1].argmax()))
    return found[len(prompt) :]


def test_it_speaks_the_apis_that_its_routes_are_rendered_with(worker: Worker) -> None:
    """What it does not speak the gateway does not ask it, or translates."""
    paths = httpx.get(f"{worker.url}/openapi.json").json()["paths"]
    spoken = {surface.api for surface in SURFACES.values() if surface.path in paths}
    assert spoken == set(ENGINES["nexus-worker"].apis)


def test_models_lists_the_served_name(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == MODEL
    assert model.model_extra is not None
    assert model.model_extra["max_model_len"] == CONTEXT


def test_chat_answers_with_the_most_likely_tokens_and_usage(client: OpenAI, folder: Path) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, max_tokens=8)
    model = Ct2Model.load(folder)
    prompt = model.tokenizer.encode(model.render_chat([dict(ASK[0])]), add_special_tokens=False).ids
    assert answer.choices[0].message.content == model.tokenizer.decode(greedy(folder, prompt, 8))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(prompt), 8)


def test_streamed_chat_says_the_same_in_pieces(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, max_tokens=24)
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, max_tokens=24, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "length"]
    assert len(chunks) > 4
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_usage_ends_the_stream_where_it_is_asked_for(client: OpenAI) -> None:
    *others, last = client.chat.completions.create(
        model=MODEL, messages=ASK, temperature=0, max_tokens=5, stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 5
    assert [chunk.usage for chunk in others] == [None] * len(others)


def test_usage_ends_every_stream_where_the_server_says_so() -> None:
    with Worker("--engine=mock", "--ttft-ms=0", "--enable-force-include-usage") as worker, worker.client() as client:
        *_, last = client.chat.completions.create(model="mock", messages=ASK, max_tokens=3, stream=True)
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


def test_stream_on_the_wire_is_events_that_end_with_done(worker: Worker) -> None:
    body = {"model": MODEL, "messages": ASK, "max_tokens": 3, "stream": True}
    answer = httpx.post(f"{worker.url}/v1/chat/completions", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert {json.loads(event.removeprefix("data: "))["object"] for event in events[:-2]} == {"chat.completion.chunk"}


def test_completion_takes_text_and_tokens_alike(client: OpenAI, folder: Path) -> None:
    tokens = Ct2Model.load(folder).tokenizer.encode("Open a file").ids
    by_text = client.completions.create(model=MODEL, prompt="Open a file", temperature=0, max_tokens=6)
    by_tokens = client.completions.create(model=MODEL, prompt=tokens, temperature=0, max_tokens=6)
    assert by_text.choices[0].text == by_tokens.choices[0].text
    assert by_text.usage == by_tokens.usage


def test_completion_without_a_length_has_sixteen_tokens(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="Open", extra_body={"ignore_eos": True})
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


@pytest.mark.parametrize("stream", [False, True])
def test_stop_string_ends_the_answer_before_it(client: OpenAI, stream: bool) -> None:
    whole = client.completions.create(model=MODEL, prompt="Open", temperature=0, max_tokens=24).choices[0].text
    stop = whole[len(whole) // 2 :][:3]
    asked: dict[str, Any] = {
        "model": MODEL,
        "prompt": "Open",
        "temperature": 0,
        "max_tokens": 24,
        "stop": [stop, "~~~~"],
    }
    if stream:
        chunks = list(client.completions.create(**asked, stream=True))
        text, reason = "".join(chunk.choices[0].text for chunk in chunks), chunks[-1].choices[0].finish_reason
    else:
        answer = client.completions.create(**asked)
        text, reason = answer.choices[0].text, answer.choices[0].finish_reason
    assert text == whole[: whole.index(stop)]
    assert reason == "stop"


def test_end_token_ends_the_answer_and_is_counted_but_not_shown(tmp_path: Path, folder: Path) -> None:
    prompt = [20, 30, 40]
    end = greedy(folder, prompt, 3)[-1]
    ending = write_llama(tmp_path / "model", eos_token_id=[end])
    expected = greedy(folder, prompt, 3)
    with Worker(str(ending), "--served-model-name=tiny") as worker, worker.client() as client:
        answer = client.completions.create(model=MODEL, prompt=prompt, temperature=0, max_tokens=24)
        goes_on = client.completions.create(
            model=MODEL, prompt=prompt, temperature=0, max_tokens=24, extra_body={"ignore_eos": True}
        )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == expected.index(end) + 1
    assert answer.choices[0].text == Ct2Model.load(folder).tokenizer.decode(expected[: expected.index(end)])
    assert goes_on.usage is not None
    assert (goes_on.choices[0].finish_reason, goes_on.usage.completion_tokens) == ("length", 24)


def test_same_seed_gives_the_same_answer_and_another_seed_another(client: OpenAI) -> None:
    def ask(seed: int) -> str:
        return client.completions.create(model=MODEL, prompt="Open", max_tokens=12, seed=seed).choices[0].text

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(5)}) > 1


def test_more_requests_than_places_are_all_answered_alike(worker: Worker, client: OpenAI) -> None:
    def ask(_: int) -> str:
        answer = client.completions.create(model=MODEL, prompt="Return the", temperature=0, max_tokens=40)
        return answer.choices[0].text

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert len(set(answers)) == 1
    assert worker.metric("vllm:num_requests_running") == worker.metric("vllm:num_requests_waiting") == 0


def test_context_is_never_exceeded(client: OpenAI) -> None:
    filled = client.completions.create(model=MODEL, prompt=[5] * (CONTEXT - 4), extra_body={"ignore_eos": True})
    assert filled.usage is not None
    assert filled.usage.total_tokens == CONTEXT
    with pytest.raises(openai.BadRequestError, match="maximum context length is 512 tokens") as refused:
        client.completions.create(model=MODEL, prompt=[5] * (CONTEXT - 4), max_tokens=5)
    assert refused.value.param == "max_tokens"
    with pytest.raises(openai.BadRequestError, match="contains 512 input tokens"):
        client.completions.create(model=MODEL, prompt=[5] * CONTEXT)


def test_model_length_may_be_lowered_and_not_raised(folder: Path) -> None:
    with Worker(str(folder), "--max-model-len=32") as worker, worker.client() as client:
        (model,) = client.models.list().data
        assert (model.id, model.model_extra and model.model_extra["max_model_len"]) == (str(folder), 32)
    too_long = Worker(str(folder), "--max-model-len=513")
    with pytest.raises(AssertionError, match="--max-model-len: 513 is refused: the model was made for 512"), too_long:
        pass
    assert too_long.process.returncode == 2


def test_unknown_model_is_404_in_the_envelope(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="other", messages=ASK)
    assert refused.value.body == {
        "message": "The model `other` does not exist.",
        "type": "NotFoundError",
        "param": "model",
        "code": 404,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("response_format", {"type": "json_object"}),
        ("presence_penalty", 0.5),
        ("temperature", -1),
        ("top_p", 0),
        ("max_tokens", 0),
        ("stop", [""]),
        ("messages", []),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
    ],
    ids=str,
)
def test_field_that_cannot_be_followed_is_400_and_named(worker: Worker, field: str, value: Any) -> None:
    body = {"model": MODEL, "messages": ASK, field: value}
    answer = httpx.post(f"{worker.url}/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


@pytest.mark.parametrize("field", [{"n": 1}, {"tools": None}, {"logit_bias": {}}, {"user": "somebody"}], ids=str)
def test_field_that_asks_for_nothing_is_let_pass(worker: Worker, field: dict[str, Any]) -> None:
    body = {"model": MODEL, "messages": ASK, "max_tokens": 1, **field}
    assert httpx.post(f"{worker.url}/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize("prompt", [[], [512], [-1], ""], ids=str)
def test_prompt_that_the_model_cannot_read_is_400(worker: Worker, prompt: Any) -> None:
    answer = httpx.post(f"{worker.url}/v1/completions", json={"model": MODEL, "prompt": prompt})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/completions", b"{", 400),
        ("POST", "/v1/completions", b"[" * 100_000, 400),
        ("POST", "/v1/completions", b" " * (8 * 2**20 + 1), 413),
        ("GET", "/v1/completions", b"", 405),
        ("GET", "/nothing", b"", 404),
    ],
    ids=["no JSON", "nested", "too large", "method", "path"],
)
def test_bad_request_is_answered_in_the_envelope(
    worker: Worker, method: str, path: str, content: bytes, status: int
) -> None:
    answer = httpx.request(method, worker.url + path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == status


def test_metrics_have_vllm_s_names_and_labels_and_count(worker: Worker, client: OpenAI) -> None:
    labels = {"model_name": MODEL, "engine": "0"}
    counters = ["vllm:prompt_tokens_total", "vllm:generation_tokens_total"]
    before = [worker.metric(name, **labels) for name in counters]
    finished = worker.metric("vllm:request_success_total", finished_reason="length", **labels)
    client.completions.create(model=MODEL, prompt=[5, 6, 7], max_tokens=4, extra_body={"ignore_eos": True})
    assert [worker.metric(name, **labels) for name in counters] == [before[0] + 3, before[1] + 4]
    assert worker.metric("vllm:request_success_total", finished_reason="length", **labels) == finished + 1
    for name in ("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"):
        assert worker.metric(f"vllm:{name}_count", **labels) >= 1
    assert worker.metric("vllm:kv_cache_usage_perc", **labels) == 0
