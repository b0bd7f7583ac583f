"""What is turned away when the gateway itself has too much to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from nexus_gateway.errors import Refusal
from nexus_gateway.keys import digest
from nexus_gateway.shedding import shed

from ..support.gateway import Gateway, code, until, write_routes
from ..support.upstream import Engine


@pytest.mark.parametrize(
    ("in_flight", "priority", "goes"),
    [(50, 0, True), (51, 0, False), (75, 50, True), (76, 50, False), (100, 100, True), (101, 100, False)],
)
def test_the_least_important_are_turned_away_first(in_flight: int, priority: int, *, goes: bool) -> None:
    if goes:
        shed(in_flight, 100, priority)
        return
    with pytest.raises(Refusal) as refused:
        shed(in_flight, 100, priority)
    assert refused.value.condition.code == "overloaded"


def test_a_full_gateway_answers_503_and_what_is_under_way_is_finished(engine: Engine, tmp_path: Path) -> None:
    entries = [{"id": name, "digest": f"sha256:{digest(name.encode()).hex()}"} for name in ("low", "high")]
    (tmp_path / "keys.yaml").write_text(yaml.safe_dump({"keys": entries}))
    document = {
        "upstreams": {"m": {"url": engine.url("gated")}},
        "routes": {"m": {"strategy": "direct", "upstream": "m", "timeouts": {"first_byte_seconds": 20}}},
        "policies": {"low": {"priority": 0}, "high": {"priority": 100}},
    }
    flags = (
        "--routes",
        str(write_routes(tmp_path / "routes", {"all": document})),
        "--keys",
        str(tmp_path / "keys.yaml"),
    )
    gateway = Gateway(tmp_path, *flags, env={"GATEWAY_MAX_IN_FLIGHT": "6"}).wait()
    engine.gate.clear()
    high, low = {"authorization": "Bearer high"}, {"authorization": "Bearer low"}
    with ThreadPoolExecutor(6) as pool:
        before = len(engine.of("gated"))
        held = [pool.submit(gateway.ask, "m", headers=high, wait=True) for _ in range(6)]
        until(lambda: len(engine.of("gated")) == before + 6, "all of them are at the engine")
        for headers in (high, low):
            answer = gateway.ask("m", headers=headers)
            assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert gateway.get("/health").status_code == 200
        engine.gate.set()
        assert {answer.result().status_code for answer in held} == {200}
        engine.gate.clear()
    assert gateway.ask("m", headers=low).status_code == 200
    assert gateway.stop() == 0
