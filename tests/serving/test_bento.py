"""The worker's engine as a bento: built, then served as the rendered runtime says, and asked by OpenAI's own SDK."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from openai import OpenAI

from nexus_release.local.free_ports import free_port
from nexus_release.manifests.engines import ENGINES

from ..support.checkpoints import write_llama
from ..support.client import installed
from ..support.repository import ROOT
from ..support.worker import Worker, poll

BIN = ROOT / ".venv-bento" / "bin"
SECONDS = 180.0  # two processes that import BentoML, on a machine that does other things
RUNTIME = ENGINES["nexus-bentoml"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    installed(BIN, "setup-bento")
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture(scope="module")
def bento(home: Path) -> Path:
    """The folder of the bento, as it is in an image."""
    env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, ROOT / "ops" / "build_bento.py"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    name, _, version = done.stdout.strip().partition(":")
    return home / "bentos" / name / version


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("served") / "model")


@pytest.fixture(scope="module")
def served(home: Path, bento: Path, model: Path) -> Iterator[str]:
    """Its address, started by the runtime's own command, arguments and variables."""
    port = free_port()
    listens = RUNTIME.listens(str(model), port)
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [BIN / RUNTIME.command[0], *RUNTIME.command[1:], *listens, "--arg=served_model_name=chat"],
            cwd=bento,
            env={"PATH": f"{BIN}:{os.environ['PATH']}", **dict(RUNTIME.environment), "BENTOML_HOME": str(home)},
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        poll(lambda: status(url + RUNTIME.probes.ready) == 200 or process.poll() is not None, "it is ready", SECONDS)
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


def test_it_answers_as_the_worker_does_whole_and_streamed(served: str, model: Path) -> None:
    asked = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 6}
    with Worker(f"--model={model}", "--served-model-name=chat") as worker:
        by_worker = httpx.post(f"{worker.url}/v1/chat/completions", json=asked, timeout=SECONDS).json()
    with OpenAI(base_url=f"{served}/v1", api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(**asked)  # type: ignore[call-overload]  # the same words as above
        pieces = list(client.chat.completions.create(**asked, stream=True))  # type: ignore[call-overload]  # as above
    text = by_worker["choices"][0]["message"]["content"]
    assert whole.choices[0].message.content == text
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == text
    assert pieces[-1].usage.completion_tokens == 6


def test_the_runtimes_probes_and_figures_are_there(served: str) -> None:
    assert status(served + RUNTIME.probes.alive) == 200
    figures = httpx.get(f"{served}/metrics").text
    assert RUNTIME.figures.running in figures
    assert "vllm:time_to_first_token_seconds" in figures


def test_what_it_holds_is_pinned_by_hash_and_can_be_made_an_image(bento: Path) -> None:
    held = (bento / "env/python/requirements.txt").read_text()
    locked = re.findall(r"^[a-z].*==\S+|--hash=\S+", (ROOT / "requirements/bento.txt").read_text(), re.MULTILINE)
    assert len(locked) > 500
    assert [pin for pin in locked if pin not in held] == []
    assert [path.suffix for path in (bento / "env/python/wheels").iterdir()] == [".whl"]
    assert (bento / "env/docker/Dockerfile").read_text().count("FROM ") == 1
    said = yaml.safe_load((bento / "bento.yaml").read_text())
    assert (said["service"], said["labels"]) == ("service:Engine", {"part-of": "nexus"})


@pytest.mark.parametrize("argument", ["max_num_seqs=0", "unknown=1"])
def test_an_argument_that_is_none_is_refused_by_its_name(home: Path, bento: Path, argument: str) -> None:
    done = subprocess.run(
        [BIN / RUNTIME.command[0], *RUNTIME.command[1:], f"--port={free_port()}", "--arg", argument],
        cwd=bento,
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode != 0
    assert argument.split("=")[0] in done.stdout + done.stderr
