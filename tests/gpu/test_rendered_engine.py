"""A vLLM with the words of the rendered objects loads what our pipeline has quantized, and answers."""

from __future__ import annotations

import httpx
import pytest

from ..bench.connection import Target
from ..bench.figures import figures
from ..bench.load import closed_loop
from ..bench.questions import questions
from ..support.rendered_engine import Pod, probed
from .conftest import MODEL, Place

pytestmark = pytest.mark.timeout(1800)


def test_it_is_told_what_is_rendered_and_no_more(pod: Pod, place: Place) -> None:
    assert pod.command == ("python3", "-m", "vllm.entrypoints.openai.api_server")
    assert f"--served-model-name={MODEL}" in pod.arguments
    assert ("--gpu-memory-utilization=0.9" in pod.arguments) == (not place.cpu)


def test_its_probes_pass_and_it_serves_the_public_alias(url: str, pod: Pod) -> None:
    assert probed(url + pod.alive)
    assert probed(url + pod.ready)
    assert [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]] == [MODEL]
    assert "vllm:num_requests_running" in httpx.get(f"{url}/metrics").text


def test_every_answer_is_whole(url: str) -> None:
    found = figures([closed_loop(Target("vllm", url, MODEL), questions(0, 8), 4)])
    assert (found.answered, found.errors) == (8, {})
