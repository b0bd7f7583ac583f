"""One engine that is an assistant, and one gateway before it, for every client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.gateway import Gateway, direct, write_routes
from ..support.upstream import Engine

MODELS = {
    "chat": "assistant",
    "cut": "assistant-cut",
    "busy": "assistant-busy-1",
    "busier": "assistant-busy-3",
    "full": "429",
}
"""Model -> what its engine does."""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    engine = Engine().start()
    folder = tmp_path_factory.mktemp("clients")
    files = {model: direct(model, engine.url(behaviour)) for model, behaviour in MODELS.items()}
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=many).wait()
    yield running
    assert running.stop() == 0
    engine.stop()
