"""What happens to answers when a client leaves, when there is no place, and when the worker is told to end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ..support.checkpoints import write_llama
from ..support.worker import Worker, poll

SLOW = ("--engine=mock", "--ttft-ms=0", "--tokens-per-second=20")
ENDLESS: dict[str, Any] = {"prompt": "tell me", "max_tokens": 4000, "ignore_eos": True}


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(*SLOW, "--max-num-seqs=1") as worker:
        yield worker


def begin(worker: Worker, client: httpx.Client, **fields: Any) -> Generator[str, None, None]:
    """Opens a stream and takes its first line; the rest comes from the iterator, and closing that leaves."""

    def lines() -> Generator[str, None, None]:
        with client.stream("POST", f"{worker.url}/v1/completions", json={**ENDLESS, "stream": True, **fields}) as got:
            yield from got.iter_lines()

    stream = lines()
    next(stream)
    return stream


@contextmanager
def awaited(worker: Worker) -> Iterator[None]:
    """Somebody waits for a whole answer, and leaves at the end."""
    body, address = json.dumps(ENDLESS).encode(), urlsplit(worker.url)
    head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        yield


def running(worker: Worker) -> float:
    return worker.metric("vllm:num_requests_running")


def aborted(worker: Worker) -> float:
    return worker.metric("vllm:request_success_total", finished_reason="abort")


def test_client_that_leaves_a_stream_cancels_it(worker: Worker) -> None:
    with httpx.Client() as client:
        stream = begin(worker, client)
        assert running(worker) == 1
        assert worker.metric("vllm:kv_cache_usage_perc") > 0
        stream.close()
    poll(lambda: running(worker) == 0, "the stream is cancelled")
    assert aborted(worker) == 1


def test_client_that_does_not_wait_for_a_whole_answer_cancels_it(worker: Worker) -> None:
    with awaited(worker):
        poll(lambda: running(worker) == 1, "the engine has it")
    poll(lambda: running(worker) == 0 and aborted(worker) == 1, "the answer is cancelled")


def test_client_that_leaves_while_it_waits_gives_up_its_turn(worker: Worker) -> None:
    with httpx.Client() as client:
        first = begin(worker, client)
        with awaited(worker):
            poll(lambda: worker.metric("vllm:num_requests_waiting") == 1, "it waits")
        poll(lambda: worker.metric("vllm:num_requests_waiting") == 0, "nobody waits")
        assert running(worker) == 1
        first.close()
    poll(lambda: running(worker) == 0, "the first is cancelled")


def test_request_without_a_place_waits_for_one(worker: Worker) -> None:
    with httpx.Client() as client, ThreadPoolExecutor(1) as pool:
        first = begin(worker, client)
        asked = {"prompt": "and me", "max_tokens": 2}
        second = pool.submit(httpx.post, f"{worker.url}/v1/completions", json=asked, timeout=60)
        poll(lambda: worker.metric("vllm:num_requests_waiting") == 1, "the second request waits")
        assert running(worker) == 1
        first.close()
        assert second.result().json()["usage"]["completion_tokens"] == 2


def test_real_engine_stops_when_the_client_leaves(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "model", max_position_embeddings=100_000)
    with Worker(str(folder), "--max-num-seqs=1") as worker, httpx.Client() as client:
        begin(worker, client, max_tokens=99_000).close()
        poll(lambda: running(worker) == 0, "the engine has stopped")
        assert aborted(worker) == 1
        assert worker.metric("vllm:generation_tokens_total") < 99_000


def test_sigterm_refuses_what_is_new_and_finishes_what_runs() -> None:
    """Another stream, which has no end, keeps it from ending before all has been looked at."""
    with Worker(*SLOW) as worker:
        with httpx.Client() as client:
            other, stream = begin(worker, client), begin(worker, client, max_tokens=30)
            worker.terminate()
            poll(lambda: worker.status("/health") == 503, "readiness is off")
            refused = httpx.post(f"{worker.url}/v1/completions", json=ENDLESS)
            assert (refused.status_code, refused.json()["error"]["type"]) == (503, "ServiceUnavailableError")
            events = [json.loads(line[6:]) for line in stream if line.startswith("data: {")]
            # The first event was taken before, and the last one brings the reason.
            assert (len(events), events[-1]["choices"][0]["finish_reason"]) == (30, "length")
            other.close()
        assert worker.wait() == 0


def test_sigterm_ends_an_idle_worker_with_0(worker: Worker) -> None:
    worker.terminate()
    assert worker.wait() == 0


def test_answer_that_outlasts_the_shutdown_timeout_is_cut_and_reported() -> None:
    with Worker(*SLOW, "--shutdown-timeout=0") as worker, httpx.Client() as client:
        stream = begin(worker, client)
        worker.terminate()
        with pytest.raises(httpx.RemoteProtocolError):
            list(stream)
        assert worker.wait() == 0
    assert "1 answers did not finish" in "".join(worker.said)


def test_second_sigterm_does_not_wait(worker: Worker) -> None:
    with httpx.Client() as client:
        stream = begin(worker, client)
        worker.terminate()
        poll(lambda: worker.status("/health") == 503, "the first signal is heard")
        worker.terminate()
        with pytest.raises(httpx.RemoteProtocolError):
            list(stream)
    assert worker.wait() == 0


def test_port_that_is_taken_ends_with_2_and_names_it(worker: Worker) -> None:
    port = worker.url.rsplit(":", 1)[1]
    program = [str(Path(sys.executable).with_name("nexus-worker")), "serve", "--engine=mock", f"--port={port}"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"--port: {port} is refused" in done.stderr


def test_same_request_gets_the_same_words_from_the_mock() -> None:
    asked = {"prompt": "tell me", "seed": 3}
    answers = []
    for _ in range(2):
        with Worker("--engine=mock", "--ttft-ms=0", "--tokens-per-second=0") as worker:
            answers += [httpx.post(f"{worker.url}/v1/completions", json=asked).json() for _ in range(2)]
    texts = {answer["choices"][0]["text"] for answer in answers}
    assert len(texts) == 1
    assert len(texts.pop().split()) == answers[0]["usage"]["completion_tokens"] == 16
