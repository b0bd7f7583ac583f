"""Every fault of the mock as a client meets it, by REST and gRPC, and the switch that sets them while it runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceStub

from ..support.worker import Worker, poll

SECONDS = 60.0
QUICK = ("--engine=mock", "--ttft-ms=0", "--tokens-per-second=0")
STREAMED = {"prompt": "tell me", "max_tokens": 12, "stream": True}
ASKED = pb.CompletionRequest(text="tell me", sampling=pb.Sampling(max_tokens=12))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(*QUICK, "--mock-admin", "--grpc-port=0") as worker:
        yield worker


@pytest.fixture
def stub(worker: Worker) -> Iterator[Any]:
    with grpc.insecure_channel(worker.grpc.removeprefix("grpc://")) as channel:
        yield InferenceStub(channel)


def arm(worker: Worker, *faults: str) -> None:
    assert put(worker, {"faults": list(faults)}).json() == {"faults": list(faults)}


def put(worker: Worker, content: Any) -> httpx.Response:
    return httpx.put(f"{worker.url}/mock/faults", json=content, timeout=SECONDS)


def ask(worker: Worker, timeout: float = SECONDS, **fields: Any) -> httpx.Response:
    body = {"prompt": "tell me", "max_tokens": 12, **fields}
    return httpx.post(f"{worker.url}/v1/completions", json=body, timeout=timeout)


def events(worker: Worker) -> Iterator[str]:
    """The data of the stream's events, as they come."""
    with httpx.stream("POST", f"{worker.url}/v1/completions", json=STREAMED, timeout=SECONDS) as answer:
        yield from (line.removeprefix("data:").strip() for line in answer.iter_lines() if line)


def note(found: Iterator[str], heard: list[str]) -> None:
    """What was heard before a failure too."""
    for event in found:
        heard.append(event)


async def pauses_after(chunks: int, worker: Worker) -> None:
    """The first are waited for, however slow the machine is."""
    async with (
        httpx.AsyncClient(timeout=SECONDS) as client,
        client.stream("POST", f"{worker.url}/v1/completions", json=STREAMED) as answer,
    ):
        lines = (line async for line in answer.aiter_lines() if line)
        assert [(await anext(lines))[:5] for _ in range(chunks)] == ["data:"] * chunks
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(lines), 0.3)


def whole_stream(worker: Worker) -> list[str]:
    arm(worker)
    return list(events(worker))


def test_a_refusal_has_its_status_in_the_envelope_and_says_when_to_come_again(worker: Worker) -> None:
    arm(worker, "refuse:status=429,retry_after=7")
    answer = ask(worker)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["error"]["code"] == 429


def test_memory_that_is_out_is_500(worker: Worker) -> None:
    arm(worker, "oom")
    answer = ask(worker)
    assert answer.status_code == 500
    assert "out of memory" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("choice", "struck"),
    [
        ("every=3", [3, 6, 9]),
        ("skip=7", [8, 9, 10]),
        ("times=2", [1, 2]),
        ("skip=2,every=2,times=2", [4, 6]),
    ],
    ids=str,
)
def test_a_choice_says_which_requests_are_struck(worker: Worker, choice: str, struck: list[int]) -> None:
    arm(worker, f"refuse:{choice}")
    assert [number for number in range(1, 11) if ask(worker).status_code == 503] == struck


def test_a_share_strikes_some_and_the_same_ones_each_time(worker: Worker) -> None:
    walks = []
    for _ in range(2):
        arm(worker, "refuse:share=0.5")
        walks.append([ask(worker).status_code for _ in range(20)])
    assert walks[0] == walks[1]
    assert set(walks[0]) == {200, 503}


def test_of_several_faults_the_first_strikes_and_each_counts(worker: Worker) -> None:
    arm(worker, "refuse:status=429,every=2", "oom:every=3")
    assert [ask(worker).status_code for _ in range(6)] == [200, 429, 500, 429, 200, 429]


def test_health_is_red_while_answers_come(worker: Worker, stub: Any) -> None:
    arm(worker, "health")
    assert [worker.status(path) for path in ("/health", "/v2/health/ready", "/v2/models/mock/ready")] == [503] * 3
    with pytest.raises(grpc.RpcError) as raised:
        stub.CheckHealth(pb.CheckHealthRequest(), timeout=SECONDS)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert ask(worker).status_code == worker.status("/v2/health/live") == 200
    arm(worker)
    assert worker.status("/health") == 200
    assert stub.CheckHealth(pb.CheckHealthRequest(), timeout=SECONDS).state == pb.CheckHealthAnswer.STATE_SERVING


def test_a_request_that_is_never_answered_runs_into_its_clients_timeout(worker: Worker) -> None:
    arm(worker, "never:times=1")
    with pytest.raises(httpx.ReadTimeout):
        ask(worker, timeout=0.3)
    assert ask(worker).status_code == 200


@pytest.mark.parametrize("streamed", [False, True])
def test_a_slow_answer_sends_not_even_its_status(worker: Worker, streamed: bool) -> None:
    arm(worker, "slow:seconds=600")
    with pytest.raises(httpx.ReadTimeout):
        ask(worker, timeout=0.3, stream=streamed)
    arm(worker, "slow:seconds=0.01")
    assert ask(worker, stream=streamed).status_code == 200


def test_a_stall_comes_after_its_chunks_and_goes_on(worker: Worker) -> None:
    whole = whole_stream(worker)
    arm(worker, "stall:chunks=4,seconds=600")
    asyncio.run(pauses_after(4, worker))
    poll(lambda: worker.metric("vllm:num_requests_running") == 0, "who leaves a stream that stalls gives up its place")
    arm(worker, "stall:chunks=4,seconds=0.01")
    assert len(list(events(worker))) == len(whole)


def test_a_cut_closes_the_connection_and_ends_the_engines_work(worker: Worker) -> None:
    arm(worker, "cut:chunks=4")
    aborted = worker.metric("vllm:request_success_total", finished_reason="abort")
    heard: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        note(events(worker), heard)
    assert len([event for event in heard if event.endswith("}")]) == 4
    poll(lambda: worker.metric("vllm:num_requests_running") == 0, "the engine has stopped")
    poll(lambda: worker.metric("vllm:request_success_total", finished_reason="abort") == aborted + 1, "it is counted")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(worker)


def test_a_malformed_event_is_one_and_a_malformed_answer_is_no_json(worker: Worker) -> None:
    whole = whole_stream(worker)
    arm(worker, "malformed:chunks=2")
    heard = list(events(worker))
    assert [number for number, event in enumerate(heard[:-1]) if not _is_json(event)] == [2]
    assert len(heard) == len(whole)
    answer = ask(worker)
    assert answer.status_code == 200
    assert not _is_json(answer.text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def test_an_oversize_chunk_is_as_large_as_asked_and_still_json(worker: Worker) -> None:
    arm(worker, "oversize:chunks=2,bytes=3000000")
    with httpx.stream("POST", f"{worker.url}/v1/completions", json=STREAMED, timeout=SECONDS) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert [number for number, line in enumerate(lines) if len(line) > 2_999_000] == [2]
    assert json.loads(lines[2].removeprefix("data:"))["choices"]
    answer = ask(worker)
    assert len(answer.content) == 3_000_000
    assert answer.json()["choices"]


def test_a_wrong_type_and_an_empty_answer(worker: Worker) -> None:
    arm(worker, "content-type")
    answer = ask(worker)
    assert answer.headers["content-type"] == "text/html"
    assert answer.json()["choices"]
    arm(worker, "empty")
    answer = ask(worker)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("refuse:status=429", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("refuse:status=503", grpc.StatusCode.UNAVAILABLE),
        ("refuse:code=DATA_LOSS", grpc.StatusCode.DATA_LOSS),
        ("oom", grpc.StatusCode.INTERNAL),
        ("cut", grpc.StatusCode.UNAVAILABLE),
    ],
    ids=str,
)
@pytest.mark.parametrize("streamed", [False, True])
def test_by_grpc_a_fault_is_a_status(
    worker: Worker, stub: Any, fault: str, code: grpc.StatusCode, streamed: bool
) -> None:
    arm(worker, fault)
    pieces: list[Any] = []

    def call() -> None:
        for piece in (
            stub.StreamComplete(ASKED, timeout=SECONDS) if streamed else [stub.Complete(ASKED, timeout=SECONDS)]
        ):
            pieces.append(piece)

    with pytest.raises(grpc.RpcError) as raised:
        call()
    assert raised.value.code() == code
    told = [key for key, _ in raised.value.trailing_metadata() if key == "nexus-error-bin"]
    assert bool(told) == (fault == "oom" or "status" in fault), "an error of the contract, where the engine refuses"
    assert len(pieces) == (3 if streamed and fault == "cut" else 0)


@pytest.mark.parametrize("fault", ["never", "slow:seconds=600", "stall:chunks=0,seconds=600"], ids=str)
def test_by_grpc_what_does_not_come_runs_into_the_deadline(worker: Worker, stub: Any, fault: str) -> None:
    arm(worker, fault)
    with pytest.raises(grpc.RpcError) as raised:
        list(stub.StreamComplete(ASKED, timeout=0.3))
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_by_grpc_what_only_http_can_break_strikes_nothing(worker: Worker, stub: Any) -> None:
    arm(worker, "malformed")
    assert stub.Complete(ASKED, timeout=SECONDS).text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("explode", "there is no fault 'explode'; take one of refuse, oom"),
        ("cut:bytes=3", "cut has no 'bytes'; its keys are chunks, every, share, skip, times"),
        ("health:every=2", "health has no 'every'; its keys are none"),
        ("refuse:status=200", "status: Input should be greater than or equal to 400"),
        ("refuse:share=0", "share: Input should be greater than 0"),
        ("slow:seconds=soon", "seconds: Input should be a valid number"),
        ("refuse:code=BAD", "code: Input should be 'CANCELLED'"),
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_is_refused_and_those_before_hold(worker: Worker, text: str, told: str) -> None:
    arm(worker, "oom")
    answer = put(worker, {"faults": ["empty", text]})
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert httpx.get(f"{worker.url}/mock/faults").json() == {"faults": ["oom"]}
    assert ask(worker).status_code == 500


@pytest.mark.parametrize("content", [[], {}, {"faults": "oom"}, {"faults": [1]}], ids=str)
def test_the_switch_takes_a_list_of_texts(worker: Worker, content: Any) -> None:
    assert put(worker, content).status_code == 400
    assert httpx.put(f"{worker.url}/mock/faults", content=b"{").status_code == 400
    assert httpx.delete(f"{worker.url}/mock/faults").status_code == 405


def test_without_its_flag_there_is_no_switch_and_faults_are_those_of_the_start() -> None:
    with Worker(*QUICK, "--mock-fault=refuse:skip=1") as worker:
        assert put(worker, {"faults": []}).status_code == 404
        assert [ask(worker).status_code for _ in range(3)] == [200, 503, 503]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--mock-fault=oom", "folder"), "--mock-fault: 'oom' is refused: only the mock has faults"),
        (("--mock-admin", "folder"), "--mock-admin: True is refused: only the mock has faults"),
        (("--engine=mock", "--mock-fault=explode"), "there is no fault 'explode'"),
    ],
    ids=str,
)
def test_flags_that_cannot_be_are_refused(words: tuple[str, ...], told: str) -> None:
    program = Path(sys.executable).with_name("nexus-worker")
    done = subprocess.run([program, "serve", "--port=0", *words], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2
    assert told in done.stderr
