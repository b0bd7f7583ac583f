"""Which requests are logged: by route and caller, the same everywhere, and so that counts can be scaled back."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from jsonschema import Draft202012Validator

from nexus_gateway.keys import digest

from ..support.gateway import BIN, Gateway, until, write_routes
from ..support.repository import ROOT
from ..support.upstream import Engine

SCHEMA = Draft202012Validator(json.loads((ROOT / "gateway" / "log.schema.json").read_text()))
RATE = 0.3
IDS = [f"request-{number}" for number in range(60)]
LOUD = "loud-key"
SECRET = "0123456789abcdef0123456789abcdef"


def logged_by_rule(request_id: str) -> bool:
    """As docs/how-to/observe-the-gateway.md tells it to others."""
    return int(hashlib.sha256(request_id.encode()).hexdigest()[:16], 16) / 2**64 < RATE


def files(engine: Engine) -> dict[str, Any]:
    def route(upstream: str, **telemetry: float) -> dict[str, Any]:
        return {"strategy": "direct", "upstream": upstream, **({"telemetry": telemetry} if telemetry else {})}

    upstreams = {name: {"url": engine.url(name)} for name in ("ok", "500", "400")}
    upstreams["slow"] = {"url": "mock://slow?ttft=0.15"}
    routes = {
        "ok": route("ok", sample=RATE),
        "whole": route("ok"),
        "none": route("ok", sample=0),
        "slow": route("slow", sample=0, slow_seconds=0.1),
        "500": route("500", sample=0),
        "400": route("400", sample=0),
        "saved": route("500", sample=0) | {"fallbacks": ["ok"]},
    }
    subjects = {"load-test": {"telemetry": {"sample": 0}}}
    policies = {f"env-{digest(LOUD.encode()).hex()[:8]}": {"telemetry": {"sample": 1}}}
    return {"all": {"upstreams": upstreams, "routes": routes, "policies": policies, "subjects": subjects}}


@dataclass
class Told:
    lines: dict[str, dict[str, Any]]
    """By request id."""
    metrics: str
    audited: list[str]


@pytest.fixture(scope="module")
def told(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("sampled")
    env = {
        "GATEWAY_API_KEYS": f"dev-key,{LOUD}",
        "GATEWAY_JWT_SECRET": SECRET,
        "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000",
    }
    routes = ("--routes", str(write_routes(folder / "routes", files(engine))))
    gateway = Gateway(folder, *routes, "--audit", str(folder / "audit"), env=env).wait()
    for name in IDS:
        gateway.ask("ok", headers={"x-request-id": name})
    for name in ("whole", "none", "slow", "500", "400", "saved"):
        gateway.ask(name, headers={"x-request-id": name})
    gateway.ask("ok", headers={"x-request-id": "wrong-key", "authorization": "Bearer nobody"})
    gateway.ask("no-model", headers={"x-request-id": "no-model"})
    for name in IDS[:20]:
        gateway.ask("ok", headers={"x-request-id": f"loud-{name}", "authorization": f"Bearer {LOUD}"})
    token = jwt.encode({"sub": "load-test", "exp": time.time() + 600, "models": ["whole"]}, SECRET, "HS256")
    answer = gateway.ask("whole", headers={"x-request-id": "by-token", "authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    until(lambda: "gateway_in_flight_requests 0.0" in gateway.get("/metrics").text, "all are counted")
    metrics = gateway.get("/metrics").text
    assert gateway.stop() == 0
    lines = {line["request_id"]: line for line in gateway.lines() if line["message"] == "request"}
    for line in gateway.lines():
        SCHEMA.validate(line)
    audited = [json.loads(line) for file in (folder / "audit").iterdir() for line in file.read_text().splitlines()]
    return Told(lines, metrics, [line["request_id"] for line in audited if line["kind"] == "decision"])


def test_a_route_s_share_of_requests_is_logged_by_their_ids(told: Told) -> None:
    wanted = [name for name in IDS if logged_by_rule(name)]
    assert 5 < len(wanted) < 35
    assert [name for name in IDS if name in told.lines] == wanted
    assert {told.lines[name]["sample_rate"] for name in wanted} == {RATE}


def test_counts_can_be_scaled_back(told: Told) -> None:
    scaled = sum(1 / told.lines[name]["sample_rate"] for name in IDS if name in told.lines)
    assert scaled == pytest.approx(len([name for name in IDS if logged_by_rule(name)]) / RATE)
    assert told.lines["whole"]["sample_rate"] == 1


@pytest.mark.parametrize("name", ["slow", "500", "400", "saved", "wrong-key", "no-model"])
def test_errors_fallbacks_and_slow_requests_are_always_logged(told: Told, name: str) -> None:
    assert told.lines[name]["sample_rate"] == 1


def test_a_rate_of_nothing_leaves_those_alone(told: Told) -> None:
    assert "none" not in told.lines


def test_a_caller_s_policy_comes_before_the_route(told: Told) -> None:
    loud = [told.lines[f"loud-{name}"]["sample_rate"] for name in IDS[:20]]
    assert loud == [1] * 20
    assert "by-token" not in told.lines


def test_metrics_and_audit_lines_are_never_sampled(told: Told) -> None:
    asked = [*IDS, "whole", "none", "slow", "500", "400", "saved", "wrong-key", "no-model", "by-token"]
    assert sorted(told.audited) == sorted([*asked, *(f"loud-{name}" for name in IDS[:20])])
    (counted,) = (
        line for line in told.metrics.splitlines() if line.startswith("gateway_requests_total") and '"200"' in line
    )
    assert float(counted.split()[-1]) == len(IDS) + 20 + 5


def test_another_gateway_logs_the_same_requests(told: Told, engine: Engine, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files(engine)))).wait()
    for name in reversed(IDS):
        gateway.ask("ok", headers={"x-request-id": name})
    assert gateway.stop() == 0
    assert {line.get("request_id") for line in gateway.lines()} & set(IDS) == told.lines.keys() & set(IDS)


def test_a_share_above_one_is_refused_with_its_place(engine: Engine, tmp_path: Path) -> None:
    wrong = files(engine)
    wrong["all"]["routes"]["ok"]["telemetry"] = {"sample": 30}
    folder = write_routes(tmp_path, wrong)
    done = subprocess.run([str(BIN / "nexus-gateway"), "check", str(folder)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "routes.ok" in done.stderr
    assert "sample" in done.stderr
