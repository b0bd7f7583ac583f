"""One engine that misbehaves and one gateway before it, for all tests that change neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.deaf import deaf
from ..support.gateway import Gateway, direct, write_routes
from ..support.upstream import Engine

BEHAVIOURS = [
    "ok", "reset", "short", "error-event", "late-error-event", "split", "flood",
    "gated", "unasked", "400", "401", "429", "500", "redirect", "garbage", "no-json", "close", "big-head",
]  # fmt: skip


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    running = Engine().start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A model for each behaviour of the engine, and `stall`, `stall-midway` and `deaf` with short deadlines."""
    folder = tmp_path_factory.mktemp("gateway")
    files = {name: direct(name, engine.url(name)) for name in BEHAVIOURS}
    files["stall"] = direct("stall", engine.url("stall"), first_byte_seconds=0.3)
    files["stall-midway"] = direct("stall-midway", engine.url("stall-midway"), chunk_seconds=0.3)
    files["comments"] = direct("comments", engine.url("comments"), first_byte_seconds=0.5)
    files["endless"] = direct("endless", engine.url("flood"), total_seconds=2)
    files["patient"] = direct("patient", engine.url("stall-midway"))
    files["waiting"] = direct("waiting", engine.url("stall"), first_byte_seconds=60)
    files["gated"] = direct("gated", engine.url("gated"), first_byte_seconds=60)
    files["nobody"] = direct("nobody", "http://127.0.0.1:1")
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000"}
    with deaf() as silent:
        files["deaf"] = direct("deaf", silent, first_byte_seconds=0.3)
        running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)), env=many).wait()
        yield running
        assert running.stop() == 0
