"""The worker as KServe's custom predictor: a real `kserve.ModelServer`, asked by KServe's own protocols."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from nexus_release.local.free_ports import free_port

from ..support.worker import Worker, poll

WORKER = Path(sys.executable).with_name("nexus-worker")
PREFILL = 20
"""Tokens of a prompt in a second, of one request after the other."""
SECONDS = 120.0  # the package takes 15 s to be imported on a machine at rest


class Predictor:
    def __init__(self, log: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        flags = ["--engine=mock", "--ttft-ms=0", "--tokens-per-second=0", "--served-model-name=chat"]
        flags.append(f"--mock-prefill-tokens-per-second={PREFILL}")
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [WORKER, "predictor", f"--port={port}", *flags], stdout=out, stderr=out, start_new_session=True
            )

    def wait(self) -> Predictor:
        poll(lambda: self._ready() or self.process.poll() is not None, "the predictor is ready", SECONDS)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=body, timeout=SECONDS)

    def begun(self) -> float:
        """Requests to V1 and V2 that have come as far as the engine."""
        said = httpx.get(f"{self.url}/metrics").text
        return sum(float(one) for one in re.findall(r"^request_preprocess_seconds_count\S* (\S+)$", said, re.MULTILINE))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/health/ready").json() == {"ready": True}
        except (httpx.TransportError, ValueError):
            return False


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    running = Predictor(tmp_path_factory.mktemp("predictor") / "log").wait()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("--engine=mock", "--ttft-ms=0", "--tokens-per-second=0", "--served-model-name=chat") as running:
        yield running


def test_instances_of_v1_are_bodies_of_openai_and_predictions_its_answers(predictor: Predictor, worker: Worker) -> None:
    chat = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "seed": 2}
    text = {"prompt": "a b c", "max_tokens": 4}
    told = predictor.post("/v1/models/chat:predict", {"instances": [chat, text]}).json()["predictions"]
    by_openai = [
        httpx.post(f"{worker.url}/v1/{path}", json=body, timeout=SECONDS).json()
        for path, body in (("chat/completions", chat), ("completions", text))
    ]
    assert [one["choices"] for one in told] == [one["choices"] for one in by_openai]
    assert [one["usage"] for one in told] == [one["usage"] for one in by_openai]


def test_a_tensor_of_v2_is_answered_by_a_tensor(predictor: Predictor, worker: Worker) -> None:
    tensor = {"name": "prompt", "shape": [2], "datatype": "BYTES", "data": ["a b c", "d"]}
    asked = {"id": "7", "inputs": [tensor], "parameters": {"max_tokens": 4}}
    told = predictor.post("/v2/models/chat/infer", asked).json()
    assert (told["id"], told["model_name"]) == ("7", "chat")
    (output,) = told["outputs"]
    assert (output["name"], output["shape"], output["datatype"]) == ("text", [2], "BYTES")
    body = {"prompt": "a b c", "max_tokens": 4}
    by_openai = httpx.post(f"{worker.url}/v1/completions", json=body, timeout=SECONDS).json()
    assert output["data"][0] == by_openai["choices"][0]["text"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/models/chat:predict", {"instances": [{"messages": []}]}, "messages"),
        ("/v1/models/chat:predict", {"instances": [{"prompt": "a", "max_tokens": 9999}]}, "maximum context length"),
        ("/v1/models/chat:predict", {"instances": [{"prompt": "a", "n": 2}]}, "`n` is not supported"),
        ("/v1/models/chat:predict", {}, "instances"),
        ("/v1/models/chat:predict", {"instances": [{"prompt": "a"}] * 257}, "257 are too many; send 256 at most"),
        (
            "/v2/models/chat/infer",
            {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["a"]}]},
            "prompt",
        ),
    ],
    ids=["no message", "too long", "not computed", "no instances", "too many", "no prompt"],
)
def test_what_is_refused_over_openais_api_is_refused_here(
    predictor: Predictor, path: str, body: Any, told: str
) -> None:
    answer = predictor.post(path, body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_the_engine_stops_when_a_client_leaves(predictor: Predictor) -> None:
    """Its prompt takes the engine longer than the next one waits, whose prefill comes after it."""
    before, place = predictor.begun(), urlsplit(predictor.url)
    long = {"prompt": "a " * int(PREFILL * SECONDS), "max_tokens": 1}
    with socket.create_connection((place.hostname, place.port)) as client:
        body = json.dumps({"instances": [long]}).encode()
        head = f"POST /v1/models/chat:predict HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        poll(lambda: predictor.begun() > before, "the engine has it", SECONDS)
    short = {"instances": [{"prompt": "b", "max_tokens": 1}]}
    answer = httpx.post(f"{predictor.url}/v1/models/chat:predict", json=short, timeout=SECONDS / 2)
    assert answer.json()["predictions"][0]["usage"]["completion_tokens"] == 1


def test_a_v2_request_need_not_have_an_id(predictor: Predictor) -> None:
    tensor = {"name": "prompt", "shape": [1], "datatype": "BYTES", "data": ["a b c"]}
    answer = predictor.post("/v2/models/chat/infer", {"inputs": [tensor], "parameters": {"max_tokens": 2}})
    assert answer.status_code == 200
    assert answer.json()["id"]


def test_kserves_probes_and_metrics_are_there(predictor: Predictor) -> None:
    assert httpx.get(f"{predictor.url}/v2/models/chat/ready").json()["ready"] is True
    assert httpx.get(f"{predictor.url}/v1/models/chat").json()["name"] == "chat"
    predictor.post("/v1/models/chat:predict", {"instances": [{"prompt": "a"}]})
    assert "request_predict_seconds_count" in httpx.get(f"{predictor.url}/metrics").text


def test_the_worker_itself_answers_kserves_probes(worker: Worker) -> None:
    assert httpx.get(f"{worker.url}/v2/health/live").json() == {"live": True}
    assert httpx.get(f"{worker.url}/v2/health/ready").json() == {"ready": True}
    assert httpx.get(f"{worker.url}/v2/models/chat/ready").json() == {"ready": True}
    assert httpx.get(f"{worker.url}/v2/models/other/ready").status_code == 404


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "kserve.py").write_text("raise ImportError('as if it were not here')")
    done = subprocess.run(
        [WORKER, "predictor", "--engine=mock"],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 2
    assert "nexus-platform[kserve,worker]" in done.stderr
