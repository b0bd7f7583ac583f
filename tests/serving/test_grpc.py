"""The worker as a gRPC client meets it: a real process, a real socket, the generated client."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceStub

from ..support.followed import BESIDE
from ..support.page_blocks import BLOCKS
from ..support.worker import Worker, poll

SECONDS = 60.0
HELLO = [pb.Message(role="user", content=[pb.ContentPart(text="hello")])]


def asked(**sampling: Any) -> pb.ChatRequest:
    return pb.ChatRequest(model="mock", messages=HELLO, sampling=pb.Sampling(**sampling))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("--engine=mock", "--ttft-ms=0", "--tokens-per-second=50", "--max-num-seqs=1", "--grpc-port=0") as one:
        yield one


@pytest.fixture(scope="module")
def stub(worker: Worker) -> Iterator[Any]:
    with grpc.insecure_channel(worker.grpc.removeprefix("grpc://")) as channel:
        yield InferenceStub(channel)


def error_of(error: grpc.RpcError) -> pb.Error:
    (trailer,) = [value for key, value in error.trailing_metadata() if key == "nexus-error-bin"]
    return pb.Error.FromString(trailer)


def test_a_whole_answer_is_the_one_that_http_gives(worker: Worker, stub: Any) -> None:
    answer = stub.Chat(asked(max_tokens=6, seed=3), timeout=SECONDS)
    body = {"model": "mock", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 6, "seed": 3}
    by_http = httpx.post(f"{worker.url}/v1/chat/completions", json=body, timeout=SECONDS).json()
    assert answer.content == by_http["choices"][0]["message"]["content"]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        by_http["usage"]["prompt_tokens"],
        by_http["usage"]["completion_tokens"],
    )
    assert answer.finish_reason == pb.FINISH_REASON_LENGTH
    assert answer.model == "mock"


def test_a_stream_says_the_same_in_pieces_and_ends_with_its_usage(stub: Any) -> None:
    whole = stub.Chat(asked(max_tokens=6, seed=3), timeout=SECONDS)
    *pieces, last = stub.StreamChat(asked(max_tokens=6, seed=3), timeout=SECONDS)
    assert len(pieces) == 6
    assert "".join(piece.content for piece in pieces) == whole.content
    assert not any(piece.HasField("usage") or piece.finish_reason for piece in pieces)
    assert (last.finish_reason, last.usage) == (whole.finish_reason, whole.usage)
    assert len({piece.id for piece in (*pieces, last)}) == 1


def test_the_worker_and_the_program_of_the_page_print_an_answer() -> None:
    page = "docs/reference/grpc-contract.md"
    started = BESIDE["tests/serving/test_grpc.py"][page].script(page, {"9000": "0"}).split()
    assert started[:2] == ["nexus-worker", "serve"]
    (program,) = (block.text for block in BLOCKS if (block.page, block.language) == (page, "python"))
    with Worker(*started[2:]) as worker:
        _prints(program.replace("127.0.0.1:9000", worker.grpc.removeprefix("grpc://")))


def _prints(typed: str) -> None:
    done = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_conversation_answers_one_refusedafter_the_other(stub: Any) -> None:
    pieces = list(stub.Converse(iter([asked(max_tokens=2), asked(max_tokens=4)]), timeout=SECONDS))
    assert [piece.usage.completion_tokens for piece in pieces if piece.HasField("usage")] == [2, 4]
    assert len({piece.id for piece in pieces}) == 2


def test_a_completion_takes_text_and_tokens(stub: Any) -> None:
    sampling = pb.Sampling(max_tokens=3)
    by_text = stub.Complete(pb.CompletionRequest(model="mock", text="a b", sampling=sampling), timeout=SECONDS)
    assert by_text.usage.prompt_tokens == 2
    tokens = pb.CompletionRequest(model="mock", tokens=pb.Tokens(ids=[1, 2, 3]), sampling=sampling)
    by_tokens = list(stub.StreamComplete(tokens, timeout=SECONDS))
    assert by_tokens[-1].usage.prompt_tokens == 3
    assert "".join(piece.text for piece in by_tokens).split()


def test_models_and_health_are_told(stub: Any) -> None:
    (model,) = stub.ListModels(pb.ListModelsRequest(), timeout=SECONDS).models
    assert (model.id, model.max_model_len, model.owned_by) == ("mock", 4096, "nexus")
    assert stub.CheckHealth(pb.CheckHealthRequest(), timeout=SECONDS).state == pb.CheckHealthAnswer.STATE_SERVING


@pytest.mark.parametrize(
    ("refused", "code", "param"),
    [
        (pb.ChatRequest(model="other", messages=HELLO), grpc.StatusCode.NOT_FOUND, "model"),
        (pb.ChatRequest(model="mock"), grpc.StatusCode.INVALID_ARGUMENT, "messages"),
        (asked(max_tokens=5000), grpc.StatusCode.INVALID_ARGUMENT, "max_tokens"),
        (asked(temperature=-1.0), grpc.StatusCode.INVALID_ARGUMENT, "temperature"),
        (asked(presence_penalty=1.0), grpc.StatusCode.INVALID_ARGUMENT, "presence_penalty"),
        (pb.ChatRequest(messages=HELLO, tools=[pb.Tool(name="t")]), grpc.StatusCode.INVALID_ARGUMENT, "tools"),
        (
            pb.ChatRequest(messages=[pb.Message(role="user", content=[pb.ContentPart(image_url="data:")])]),
            grpc.StatusCode.INVALID_ARGUMENT,
            "messages",
        ),
    ],
    ids=["model", "no messages", "too long", "temperature", "penalty", "tools", "image"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_refused_is_a_status_that_names_the_field(
    stub: Any, refused: pb.ChatRequest, code: grpc.StatusCode, param: str, streamed: bool
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        list(stub.StreamChat(refused, timeout=SECONDS)) if streamed else stub.Chat(refused, timeout=SECONDS)
    assert raised.value.code() == code
    assert error_of(raised.value).param == param


def test_an_engine_of_text_says_that_it_embeds_none(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Embed(pb.EmbeddingRequest(model="mock", input=["a"]), timeout=SECONDS)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_call_that_is_given_up_leaves_its_place_to_the_next(worker: Worker, stub: Any) -> None:
    """There is one place: the second call would wait for 4,000 tokens at 50 a second otherwise."""
    endless = stub.StreamChat(asked(max_tokens=4000, ignore_eos=True), timeout=SECONDS)
    assert next(endless).content
    aborted = worker.metric("vllm:request_success_total", finished_reason="abort")
    endless.cancel()
    assert stub.Chat(asked(max_tokens=1), timeout=SECONDS).content
    poll(lambda: worker.metric("vllm:request_success_total", finished_reason="abort") == aborted + 1, "it is counted")


def test_a_deadline_ends_the_engines_work(worker: Worker, stub: Any) -> None:
    aborted = worker.metric("vllm:request_success_total", finished_reason="abort")
    call = stub.Chat.future(asked(max_tokens=4000, ignore_eos=True), timeout=5)  # in which it begins, and cannot end
    poll(lambda: worker.metric("vllm:num_requests_running") == 1, "the engine has it")
    with pytest.raises(grpc.RpcError) as raised:
        call.result()
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    poll(lambda: worker.metric("vllm:request_success_total", finished_reason="abort") == aborted + 1, "it is counted")


def test_a_stop_finishes_what_has_begun_and_refuses_what_is_new() -> None:
    with Worker("--engine=mock", "--ttft-ms=0", "--tokens-per-second=20", "--grpc-port=0") as worker:
        with grpc.insecure_channel(worker.grpc.removeprefix("grpc://")) as channel:
            stub = InferenceStub(channel)
            other = stub.StreamChat(asked(max_tokens=4000, ignore_eos=True), timeout=SECONDS)
            next(other)  # which keeps it from ending before all has been looked at
            pieces = stub.StreamChat(asked(max_tokens=30, ignore_eos=True), timeout=SECONDS)
            first = next(pieces)
            worker.terminate()
            poll(lambda: worker.status("/health") == 503, "it drains")
            draining = stub.CheckHealth(pb.CheckHealthRequest(), timeout=SECONDS).state
            with pytest.raises(grpc.RpcError) as raised:
                stub.Chat(asked(), timeout=SECONDS)
            *_, last = pieces
            other.cancel()
        assert worker.wait() == 0
    assert first.content
    assert draining == pb.CheckHealthAnswer.STATE_DRAINING
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert error_of(raised.value).status == 503
    assert last.usage.completion_tokens == 30


def test_a_port_that_is_taken_is_refused_by_its_option(worker: Worker) -> None:
    port = worker.grpc.rpartition(":")[2]
    words = ["serve", "--engine=mock", "--port=0", f"--grpc-port={port}"]
    program = Path(sys.executable).with_name("nexus-worker")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2
    assert f"--grpc-port: {port} is refused" in done.stderr


def test_many_calls_share_one_connection(worker: Worker, stub: Any) -> None:
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: told.append(stub.Chat(asked(max_tokens=1), timeout=SECONDS).content))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(told) == 16
    assert len(set(told)) == 1
