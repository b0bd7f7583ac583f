"""The page about a vLLM and an SGLang behind one gateway: its route file and its variables, as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.gateway import Gateway, until
from ..support.repository import ROOT
from ..support.worker import Worker

PAGE = (ROOT / "docs" / "how-to" / "route-between-engines.md").read_text(encoding="utf-8")
PORTS = {"llama": "8001", "qwen": "30000"}


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Worker]]:
    """Under the names of the page, and both as `chat`: an engine of ours has one name each."""
    flags = ("--engine=mock", "--ttft-ms=0", "--tokens-per-second=0")
    with (
        Worker(*flags, "--served-model-name=llama") as llama,
        Worker(*flags, "--served-model-name=qwen") as qwen,
    ):
        yield {"llama": llama, "qwen": qwen}


def here(text: str, engines: dict[str, Worker]) -> str:
    """The page's text, with the engines where they are."""
    for name, port in PORTS.items():
        text = text.replace(f"http://localhost:{port}", engines[name].url)
    return text


def test_the_route_file_asks_each_engine_by_its_own_name(engines: dict[str, Worker], tmp_path: Path) -> None:
    (said,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "routes.yaml").write_text(here(said, engines))
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes.yaml")).wait()
    answers = {model: gateway.ask(model).json()["model"] for model in PORTS}
    shares = [gateway.ask("chat", headers={"x-nexus-session": str(one)}).json()["model"] for one in range(60)]
    assert gateway.stop() == 0
    assert answers == {"llama": "llama", "qwen": "qwen"}
    assert 0 < shares.count("qwen") < 30
    assert shares.count("llama") > 30


def test_one_engine_answers_for_the_other(engines: dict[str, Worker], tmp_path: Path) -> None:
    (said,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    nobody = here(said, engines).replace(engines["llama"].url, "http://127.0.0.1:1")
    (tmp_path / "routes.yaml").write_text(nobody)
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes.yaml")).wait()
    answer = until(lambda: (found := gateway.ask("llama")).status_code == 200 and found, "qwen answers")
    assert gateway.stop() == 0
    assert (answer.json()["model"], answer.headers["x-fallback-model"]) == ("qwen", "qwen")


def test_the_variables_make_the_same_routes(engines: dict[str, Worker], tmp_path: Path) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("export GATEWAY_")]
    variables = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    assert set(variables) == {"GATEWAY_UPSTREAMS", "GATEWAY_FALLBACKS", "GATEWAY_ROUTE_POLICIES"}
    gateway = Gateway(tmp_path, env={name: here(value, engines) for name, value in variables.items()}).wait()
    answers = {model: gateway.ask(model).json()["model"] for model in PORTS}
    explained = gateway.get("/v1/models").json()["data"]
    assert gateway.stop() == 0
    assert answers == {"llama": "llama", "qwen": "qwen"}
    assert {"llama", "qwen", "chat"} <= {model["id"] for model in explained}
