"""The mock as a client meets it: cached tokens in usage and metrics, over REST and gRPC, and what its flags refuse."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from openai import OpenAI

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceStub

from ..support.worker import Worker

SECONDS = 60.0
QUICK = ("--engine=mock", "--ttft-ms=0", "--tokens-per-second=0")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(*QUICK, "--enable-prompt-tokens-details", "--grpc-port=0") as worker:
        yield worker


@pytest.fixture(scope="module")
def client(worker: Worker) -> Iterator[OpenAI]:
    with worker.client() as client:
        yield client


@pytest.fixture
def prompt() -> str:
    """Of 40 words that no other test has: two full blocks and a half."""
    return " ".join(f"{uuid.uuid4().hex}" for _ in range(40))


def cached(answer: Any) -> int:
    return int(answer.usage.prompt_tokens_details.cached_tokens)


def test_a_completion_tells_what_was_cached_and_says_the_same(client: OpenAI, prompt: str) -> None:
    cold, warm = (client.completions.create(model="mock", prompt=prompt) for _ in range(2))
    assert (cached(cold), cached(warm)) == (0, 32)
    assert cold.choices[0].text == warm.choices[0].text


def test_a_conversation_is_cached_with_its_answers(client: OpenAI, prompt: str) -> None:
    asked: Any = [{"role": "user", "content": prompt}]
    first = client.chat.completions.create(model="mock", messages=asked)
    told = {"role": "assistant", "content": first.choices[0].message.content}
    second = client.chat.completions.create(
        model="mock", messages=[*asked, told, {"role": "user", "content": "and then"}]
    )
    assert first.usage is not None
    assert cached(second) == (first.usage.total_tokens - 1) // 16 * 16, "all but the end, which nothing has read"


def test_a_stream_tells_it_in_its_usage(client: OpenAI, prompt: str) -> None:
    asked: Any = {"model": "mock", "messages": [{"role": "user", "content": prompt}]}
    client.chat.completions.create(**asked)
    *_, last = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    assert cached(last) == 32


def test_a_call_by_grpc_tells_it_and_shares_the_cache(worker: Worker, client: OpenAI, prompt: str) -> None:
    client.completions.create(model="mock", prompt=prompt)
    with grpc.insecure_channel(worker.grpc.removeprefix("grpc://")) as channel:
        answer = InferenceStub(channel).Complete(pb.CompletionRequest(model="mock", text=prompt), timeout=SECONDS)
    assert answer.usage.cached_tokens == 32


def test_a_salt_shares_only_with_itself(client: OpenAI, prompt: str) -> None:
    salts = ("one", "other", "one", None)
    told = [client.completions.create(model="mock", prompt=prompt, extra_body={"cache_salt": one}) for one in salts]
    assert [cached(answer) for answer in told] == [0, 0, 32, 0]


def test_an_empty_salt_is_refused_by_name(worker: Worker) -> None:
    answer = httpx.post(f"{worker.url}/v1/completions", json={"prompt": "a", "cache_salt": ""})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cache_salt")


def test_vllms_counters_count_queries_and_hits_in_tokens(worker: Worker, client: OpenAI, prompt: str) -> None:
    names = ("prefix_cache_queries", "prefix_cache_hits", "prompt_tokens_cached", "prompt_tokens")

    def read() -> list[float]:
        return [worker.metric(f"vllm:{name}_total", model_name="mock", engine="0") for name in names]

    before = read()
    for _ in range(2):
        client.completions.create(model="mock", prompt=prompt)
    assert [after - was for after, was in zip(read(), before, strict=True)] == [80, 32, 32, 80]


def test_a_small_cache_forgets_what_was_longest_unused() -> None:
    flags = ("--max-model-len=32", "--num-gpu-blocks-override=8", "--block-size=4", "--enable-prompt-tokens-details")
    prompts = [" ".join(f"{name}{number}" for number in range(13)) for name in "ab"]
    with Worker(*QUICK, *flags) as worker, worker.client() as client:

        def ask(prompt: str) -> int:
            return cached(client.completions.create(model="mock", prompt=prompt, max_tokens=1))

        assert [ask(prompt) for prompt in (*prompts, prompts[1], prompts[0])] == [0, 0, 12, 12]
        ask(" ".join(f"c{number}" for number in range(18)))
        assert [ask(prompt) for prompt in prompts] == [12, 0], "the second had been asked before the first"


def test_without_its_flags_usage_has_no_details_and_nothing_is_kept(prompt: str) -> None:
    with Worker(*QUICK) as worker, worker.client() as client:
        answer = client.completions.create(model="mock", prompt=prompt)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is None
    flags = ("--no-enable-prefix-caching", "--enable-prompt-tokens-details")
    with Worker(*QUICK, *flags) as worker, worker.client() as client:
        for _ in range(2):
            answer = client.completions.create(model="mock", prompt=prompt)
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is None
        assert worker.metric("vllm:prefix_cache_queries_total") == 0


def refused(*words: str) -> str:
    program = Path(sys.executable).with_name("nexus-worker")
    done = subprocess.run([program, "serve", "--port=0", *words], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2
    return done.stderr


def test_a_cache_that_holds_no_context_is_refused_with_what_would_do() -> None:
    told = refused("--engine=mock", "--max-model-len=64", "--num-gpu-blocks-override=3")
    assert "--num-gpu-blocks-override: 3 is refused: a context of 64 tokens takes 4 blocks" in told
