"""An engine that is an assistant, and a gateway before it, for every client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.gateway import Gateway, direct, write_routes
from ..support.upstream import Engine

MODELS = {
    "chat": "assistant",
    "cut": "assistant-cut",
    "cut-streams": "assistant-cut-streams",
    "busy": "assistant-busy-1",
    "busier": "assistant-busy-3",
    "full": "429",
    "unnamed": "assistant",
    "400": "400",
}
"""Model -> what its engine does."""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    yield from before_an_assistant(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="session")
def chat_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The same, but its engine speaks chat completions and no other API."""
    yield from before_an_assistant(tmp_path_factory.mktemp("chat-alone"), apis=["chat"])


def before_an_assistant(folder: Path, **of_upstream: Any) -> Iterator[Gateway]:
    engine = Engine().start()
    files = {model: direct(model, engine.url(behaviour)) for model, behaviour in MODELS.items()}
    del files["unnamed"]["upstreams"]["unnamed-1"]["release"]
    for model, file in files.items():
        file["upstreams"][f"{model}-1"] |= of_upstream
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=many).wait()
    yield running
    assert running.stop() == 0
    engine.stop()
