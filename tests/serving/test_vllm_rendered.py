"""A real vLLM on the CPU starts with the words of the rendered ServingRuntime and InferenceService, loads what our own
pipeline has quantized, and answers through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from nexus_release.config import load_settings
from nexus_release.local.free_ports import free_port

from ..support.gateway import Gateway, direct, write_routes
from ..support.rendered_engine import (
    CPU_ONLY,
    GPU_ONLY,
    Pod,
    on_a_cpu,
    placed_here,
    probed,
    record_of,
    rendered_pod,
    serving,
)
from ..support.repository import ROOT
from ..support.trained import RECIPE, train_small

PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
MODEL = "arithmetic"

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.train,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.exists(), reason=".venv-vllm is not there: run `make setup-vllm`"),
]


@dataclass(frozen=True)
class Served:
    rendered: Pod
    started: Pod
    url: str


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("vllm")
    trained = train_small(folder)
    wide = trained.train(RECIPE.model_copy(update={"context_tokens": 512}))  # the least that environments take
    artifact = trained.quantize("W4A16", wide.model)
    checkpoint = trained.tools.store.get(artifact.digest)
    rendered = rendered_pod(record_of(MODEL, artifact, "W4A16", checkpoint), load_settings(ROOT, "dev"))
    started = on_a_cpu(placed_here(rendered, checkpoint, folder / "cache", free_port()))
    with serving(started, PYTHON, folder / "log") as url:
        yield Served(rendered, started, url)


def test_only_what_is_listed_differs_from_what_a_cluster_starts(vllm: Served) -> None:
    def names(words: tuple[str, ...]) -> set[str]:
        return {word.partition("=")[0] for word in words}

    rendered, started = names(vllm.rendered.arguments), names(vllm.started.arguments)
    assert rendered - started == set(GPU_ONLY)
    assert started - rendered == {word for word in CPU_ONLY if word.startswith("--")}
    assert vllm.started.variables.items() - vllm.rendered.variables.items() >= {("OMP_NUM_THREADS", "1")}
    assert (vllm.started.command, vllm.started.alive, vllm.started.ready) == (
        vllm.rendered.command, vllm.rendered.alive, vllm.rendered.ready,
    )  # fmt: skip


def test_its_probes_pass_and_it_serves_the_public_alias_alone(vllm: Served) -> None:
    assert probed(vllm.url + vllm.rendered.ready)
    assert not probed(vllm.url + "/nowhere")
    assert [model["id"] for model in httpx.get(f"{vllm.url}/v1/models").json()["data"]] == [MODEL]


def test_it_answers_through_the_gateway_and_says_what_it_cost(vllm: Served, tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", {MODEL: direct(MODEL, vllm.url)})
    gateway = Gateway(tmp_path, "--routes", str(routes)).wait()
    whole = gateway.ask(MODEL, max_tokens=12)
    streamed = gateway.ask(MODEL, max_tokens=12, stream=True)
    assert gateway.stop() == 0
    assert (whole.status_code, whole.json()["model"]) == (200, MODEL)
    assert 0 < whole.json()["usage"]["completion_tokens"] <= 12
    assert '"usage":{' in streamed.text, "by --enable-force-include-usage, though nobody has asked"
    assert streamed.text.rstrip().endswith("data: [DONE]")
