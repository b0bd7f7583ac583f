"""The chaos scenarios: what is declared can be checked, a broken expectation is found, and one is done for real."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nexus_gateway import native
from nexus_gateway.settings import EDGES, read_settings

from ..chaos import namespaces
from ..chaos.chaos_page import page
from ..chaos.drill import BUSY, Seen, broken
from ..chaos.faults import FAULTS
from ..chaos.relay import Relay
from ..chaos.scenario import Scenario, scenarios
from ..chaos.scenarios import Run, main
from ..chaos.stack import routes_to
from ..support.gateway import EDGE
from ..support.over_sockets import driven, in_a_loop
from ..support.prometheus_server import prometheus_program
from ..support.repository import ROOT
from ..support.two_ways import posted

KNOWN = scenarios()
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((ROOT / "ops/prometheus/rules/gateway.yaml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
KILLED = KNOWN["engine-killed"]
AS_EXPECTED = Seen(
    answers={
        "alone": {"502 upstream_failed": 5, "503 circuit_open": 20},
        "whole": {"502 upstream_failed": 5, "503 circuit_open": 20},
        "covered": {"200 by spare": 20},
        "far": {"200": 20},
        "keyed": {"200": 20},
    },
    slowest={"alone": 0.2, "whole": 0.2, "covered": 0.2, "far": 0.2, "keyed": 0.2},
    quickest={"far": 0.1, "keyed": 0.1},
    metrics=dict.fromkeys(KILLED.metrics, 1.0),
    alerts=dict.fromkeys(KILLED.alerts, 9.0),
    calm=4.0,
)


@pytest.mark.parametrize("name", KNOWN)
def test_a_scenario_names_a_fault_that_there_is_and_alerts_that_ring_in_time(name: str) -> None:
    scenario = KNOWN[name]
    assert scenario.strike in FAULTS
    assert {*scenario.alerts, *scenario.may_ring, *BUSY} <= RULES.keys()
    assert scenario.client or scenario.alerts, "something is seen of it"


def test_every_fault_has_a_scenario() -> None:
    assert {one.strike for one in KNOWN.values()} == FAULTS.keys()


def test_every_scenario_is_listed_on_the_page() -> None:
    table = re.findall(r"^\| .+ \| (`.+`) \|$", (ROOT / "docs/how-to/load-and-chaos.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", " ".join(table))) == KNOWN.keys()


def test_an_unknown_key_or_answer_is_refused() -> None:
    body = {"fault": "It breaks.", "strike": "engine-killed", "client": {}, "alerts": []}
    Scenario.model_validate(body)
    for slip in (
        {"alarms": []},
        {"client": {"alone": {"answers": ["oops"]}}},
        {"client": {"nobody": {"answers": ["200"]}}},
    ):
        with pytest.raises(ValidationError):
            Scenario.model_validate({**body, **slip})


def test_what_is_as_expected_breaks_nothing() -> None:
    assert broken(KILLED, AS_EXPECTED) == []
    assert broken(KILLED, replace(AS_EXPECTED, alerts={**AS_EXPECTED.alerts, "NexusLoopLag": 3.0})) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": {**AS_EXPECTED.answers, "covered": {"503 circuit_open": 1}}}, "covered: never got 200 by spare"),
        ({"answers": {**AS_EXPECTED.answers, "far": {"200": 9, "nothing": 2}}}, "far: got nothing, 2 times"),
        ({"slowest": {**AS_EXPECTED.slowest, "alone": 5.5}}, "alone: waited for 5.5 s, at most 5"),
        ({"metrics": {}}, f"metrics: never {KILLED.metrics[0]}"),
        ({"alerts": {}}, "alerts: NexusCircuitOpen did not ring"),
        ({"alerts": {**AS_EXPECTED.alerts, "NexusConfigRefused": 1.0}}, "alerts: NexusConfigRefused rang"),
        ({"calm": None}, "recovery: it was not as before in time"),
    ],
)
def test_each_expectation_can_be_broken(change: dict[str, Any], said: str) -> None:
    assert said in broken(KILLED, replace(AS_EXPECTED, **change))


def test_a_fault_that_did_not_strike_is_found() -> None:
    quick = replace(AS_EXPECTED, answers={"far": {"200": 1}}, quickest={"far": 0.1})
    assert any("far: was answered after 0.10 s, at least 0.4" in one for one in broken(KNOWN["network-latency"], quick))


def test_the_committed_page_is_of_these_scenarios_on_every_edge() -> None:
    said = (ROOT / "docs" / "reports" / "chaos.md").read_text()
    sections = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", said, re.MULTILINE | re.DOTALL))
    left_out = set(re.findall(r"^`([\w-]+)` was not run here", said, re.MULTILINE))
    assert sections.keys() | left_out == KNOWN.keys()
    for name, section in sections.items():
        assert KNOWN[name].fault in section
        assert f"| expected | {' | '.join(EDGES)} |" in section
        assert "| **as expected** |" + " yes |" * len(EDGES) in section


def test_a_page_says_what_was_not_as_expected_and_what_was_not_run() -> None:
    ran = [Run("wire", "engine-killed", AS_EXPECTED, ["alerts: NexusCircuitOpen did not ring"])]
    said = page(ran, {"engine-killed": KILLED, "disk-full": KNOWN["disk-full"]}, {"disk-full": "no iptables"})
    assert "| **as expected** | alerts: NexusCircuitOpen did not ring |" in said
    assert "`disk-full` was not run here: no iptables." in said
    assert "5 × 502 upstream_failed, 20 × 503 circuit_open; 0.2 s at most" in said


@pytest.mark.skipif(not native.is_built(), reason="nexus-native is not built: make setup-dev says why")
@pytest.mark.parametrize("model", ["alone", "far"])
@in_a_loop
async def test_who_is_said_to_pass_in_c_does(tmp_path: Path, model: str) -> None:
    everywhere = ["http://engine.test"] * 3
    async with driven(tmp_path, "native", routes_to(*everywhere)) as drive:
        client = await drive.taken_over(posted(model=model))
        assert await drive.ask(client, posted(model=model)) == [200] * 3
        assert drive.served == 1


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def test_the_relay_passes_holds_and_resets(echo: socket.socket) -> None:
    relay = Relay(echo.getsockname()[1]).start()
    try:
        with socket.create_connection(("127.0.0.1", relay.port), timeout=30) as client:
            client.sendall(b"one")
            there, _ = echo.accept()
            assert there.recv(3) == b"one"
            relay.turn("hold")
            there.sendall(b"held")
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(30)
            relay.turn("reset")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            there.close()
    finally:
        relay.stop()


def chaos(*words: str | Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_CHAOS")}
    command = [sys.executable, "-m", "tests.chaos.scenarios", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True)


@pytest.mark.services
@pytest.mark.timeout(300)
def test_a_real_fault_is_as_declared_but_for_the_alert_that_was_left_out(tmp_path: Path) -> None:
    """`make chaos` does all of them, on every edge; here one has a wrong expectation, and that alone is told."""
    prometheus_program()
    real = KNOWN["engine-garbage" if namespaces.why_not() else "network-reset"]
    *others, left_out = real.alerts
    rings = f'ALERTS{{alertname="{left_out}",alertstate="firing"}} == 1'
    wrong = real.model_copy(update={"alerts": tuple(others), "metrics": (*real.metrics, rings)})
    path = tmp_path / "scenarios.yaml"
    path.write_text(yaml.safe_dump({"wrong": wrong.model_dump(mode="json")}))
    done = chaos("--declared", path, "--edges", read_settings(EDGE).edge, "--first-byte", "60", "--json")
    assert done.returncode == 1, done.stderr
    (run,) = json.loads(done.stdout)
    assert run["broken"] == [f"alerts: {left_out} rang"], done.stderr


def test_a_scenario_that_is_none_is_refused_by_name() -> None:
    done = chaos("--only", "engine-kiled")
    assert done.returncode == 2
    assert "engine-kiled is no scenario: take one of engine-killed" in done.stderr


def test_an_edge_that_is_not_built_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native, "is_built", lambda: False)
    monkeypatch.setattr(sys, "argv", ["scenarios", "--only", "engine-killed"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "nexus-native is not built" in capsys.readouterr().err


def test_the_machine_s_own_network_is_no_place_for_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not namespaces.inside()
    for said in ("1", str(Path("/proc/self/ns/net").readlink())):
        monkeypatch.setenv("NEXUS_CHAOS_OUTSIDE", said)
        assert not namespaces.inside()


def test_a_machine_that_gives_no_namespaces_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert namespaces.why_not() == "unshare is not here"


def test_the_command_s_network_is_its_own() -> None:
    if why := namespaces.why_not():
        pytest.skip(f"no namespaces here: {why}")
    before = subprocess.run(["iptables", "-S"], capture_output=True, text=True).stdout
    assert namespaces.why_not() == ""  # which adds a rule, and mounts
    assert subprocess.run(["iptables", "-S"], capture_output=True, text=True).stdout == before
    assert not os.path.ismount("/mnt")
