"""The load scenarios: declared once, read alike by k6's scripts and by `make load`, and failing where they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nexus_release.config import load_settings

from ..bench import scenario_load
from ..bench.connection import Answer, Target
from ..bench.load import DROPPED, open_loop
from ..bench.load_page import page
from ..bench.questions import Question
from ..bench.scenarios import DECLARED, Declared, Phase, declared
from ..bench.thresholds import judged
from ..chaos.scenario import scenarios as chaos_scenarios
from ..support.client import NODE_MODULES, installed
from ..support.gateway import Gateway, direct, write_routes
from ..support.repository import ROOT

LOAD = ROOT / "ops" / "load"
KNOWN = declared()
PHASES = [(name, phase) for name, one in KNOWN.scenarios.items() for phase in one.phases]
ANSWERS = [(200, "data: {}\n\ndata: [DONE]\n\n"), (200, "data: {}\n\n"), (429, ""), (503, ""), (502, ""), (0, "")]
SHORT = """
{"request": {"model": "chat", "prompt": "What?", "max_tokens": 4},
 "scenarios": {"short": {"about": "Two seconds.", "at_once": 50, "phases": [
   {"name": "rise", "seconds": 1, "from": 2, "to": 6, "thresholds": {"failed": 0, "refused": 0, "dropped": 0}},
   {"name": "steady", "seconds": 1, "from": 6, "to": 6, "thresholds": {
     "failed": 0, "refused": 0, "dropped": 0, "first_ms": {"p95": 60000}, "whole_ms": {"p95": 60000}}}]}}}
"""


@pytest.fixture(scope="module")
def by_k6() -> dict[str, Any]:
    """What k6 would be told, by Node."""
    if shutil.which("node") is None:
        pytest.skip("node is not here (`make services` installs it)")
    command = ["node", "tests/ops/k6_declared.mjs", str(DECLARED), json.dumps(ANSWERS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_scenarios_are_those_of_the_scripts_and_of_the_seed() -> None:
    scripts = {path.stem for path in LOAD.glob("*.js")} - {"ask", "declared"}
    assert scripts == set(KNOWN.scenarios) == {"smoke", "baseline", "spike"}
    for name in scripts:
        assert f"optionsOf('{name}')" in (LOAD / f"{name}.js").read_text()


@pytest.mark.parametrize(("name", "phase"), PHASES, ids=[f"{name}-{phase.name}" for name, phase in PHASES])
def test_k6_is_told_the_rates_and_thresholds_that_make_load_holds(
    by_k6: dict[str, Any], name: str, phase: Phase
) -> None:
    made = by_k6["made"][name]
    scenario = made["scenarios"][phase.name]
    (stage,) = scenario["stages"]
    assert (scenario["startRate"], stage["target"], stage["duration"]) == (
        phase.start,
        phase.end,
        f"{phase.seconds:g}s",
    )
    before = KNOWN.scenarios[name].phases
    started = sum(one.seconds for one in before[: before.index(phase)])
    assert (scenario["startTime"], scenario["maxVUs"]) == (f"{started:g}s", KNOWN.scenarios[name].at_once)
    most = phase.thresholds
    wanted = {"failed": [f"rate<={most.failed:g}"], "refused": [f"rate<={most.refused:g}"]}
    wanted["dropped_iterations"] = [f"count<={most.dropped}"]
    for metric, percentiles in (("first_ms", most.first_ms), ("whole_ms", most.whole_ms)):
        if percentiles:
            wanted[metric] = [f"p({one[1:]})<={limit:g}" for one, limit in percentiles.items()]
    own = {key: value for key, value in made["thresholds"].items() if key.endswith(f"{{scenario:{phase.name}}}")}
    assert own == {f"{metric}{{scenario:{phase.name}}}": value for metric, value in wanted.items()}


def test_both_ask_the_same_and_judge_an_answer_alike(by_k6: dict[str, Any]) -> None:
    question = Question(KNOWN.request.prompt, KNOWN.request.max_tokens)
    ours = (
        Target("gateway", "http://x", KNOWN.request.model, ignore_eos=False).request(question).partition(b"\r\n\r\n")[2]
    )
    assert json.loads(by_k6["body"]) == json.loads(ours)
    assert json.loads(by_k6["named"])["model"] == "other"
    assert by_k6["outcomes"] == ["answered", "failed", "refused", "refused", "failed", "failed"]
    assert by_k6["refused"].startswith("no-such is no scenario: take one of smoke")


def test_k6_s_scripts_are_typed_by_k6_s_own_types(tmp_path: Path) -> None:
    installed(NODE_MODULES / "typescript", "services setup-clients")
    assert types_of(LOAD) == ""
    shutil.copytree(LOAD, tmp_path / "load")
    (path,) = (tmp_path / "load").glob("ask.js")
    path.write_text(path.read_text().replace("failed.add(became === 'failed')", "failed.ad(became === 'fialed')"))
    config = tmp_path / "load" / "tsconfig.json"
    config.write_text(config.read_text().replace("../../tests", str(ROOT / "tests")))
    said = types_of(tmp_path / "load")
    assert "Property 'ad' does not exist" in said
    assert '"fialed"' in said


def types_of(folder: Path) -> str:
    """What TypeScript says against it."""
    done = subprocess.run([NODE_MODULES / ".bin" / "tsc", "-p", folder], capture_output=True, text=True)
    return done.stdout


def test_an_unknown_key_of_the_declaration_is_refused() -> None:
    text = SHORT.replace('"failed": 0', '"faild": 0', 1)
    with pytest.raises(ValidationError, match="faild"):
        Declared.model_validate(json.loads(text))


def test_an_ordinary_minute_is_held_to_what_is_promised() -> None:
    objectives = load_settings(ROOT, "prod").alerting.objectives
    steady = KNOWN.scenarios["baseline"].phases[-1].thresholds
    assert steady.failed + steady.refused <= 1 - objectives.availability + 1e-9
    assert steady.first_ms["p99"] <= 1000 * objectives.first_byte_seconds


@pytest.mark.parametrize(("name", "phase"), PHASES, ids=[f"{name}-{phase.name}" for name, phase in PHASES])
def test_requests_come_due_as_the_rate_says(name: str, phase: Phase) -> None:
    due = phase.due()
    assert len(due) == int(phase.requests)
    assert due == sorted(due)
    assert 0 <= due[0] <= due[-1] < phase.seconds
    half = sum(at < phase.seconds / 2 for at in due)
    rate_of_half = (3 * phase.start + phase.end) / 4
    assert half == pytest.approx(rate_of_half * phase.seconds / 2, abs=1)


def answer(error: str = "", first: float = 0.1) -> Answer:
    return Answer(0.0, [first], 2 * first, 4, error)


def test_each_threshold_can_be_broken_and_says_what_was_seen() -> None:
    strict = {"failed": 0, "refused": 0, "dropped": 0, "first_ms": {"p95": 50}, "whole_ms": {"p95": 100}}
    phase = Phase.model_validate({"name": "one", "seconds": 1, "from": 1, "to": 1, "thresholds": strict})
    quick = [answer(first=0.01)] * 20
    assert judged(phase, quick).broken == []
    assert judged(phase, [*quick, answer("status 502")]).broken == ["failed: 0.04762, at most 0"]
    assert judged(phase, [*quick, answer("status 503")]).broken == ["refused: 0.04762, at most 0"]
    assert judged(phase, [*quick, answer(DROPPED)]).broken == ["dropped: 1, at most 0"]
    assert judged(phase, [answer()] * 20).broken == ["first p95 ms: 100, at most 50", "whole p95 ms: 200, at most 100"]
    assert judged(phase, [answer("status 503")] * 2).broken == [
        "refused: 1, at most 0",
        "first p95 ms: nothing was answered, at most 50 is asked",
        "whole p95 ms: nothing was answered, at most 100 is asked",
    ]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("load")
    files = {"chat": direct("chat", "mock://local"), "ill": direct("ill", "mock://fail")}
    files["_policies"] = {"policies": {"dev-key": {"requests_per_minute": 100_000}}}
    gateway = Gateway(folder, "--routes", str(write_routes(folder / "routes", files)))
    try:
        yield gateway.wait()
    finally:
        gateway.stop()


def test_what_would_be_one_too_many_at_once_is_not_sent(gateway: Gateway) -> None:
    target = Target("gateway", gateway.url, "chat", "dev-key", ignore_eos=False)
    load = open_loop(target, [Question("What?", 4)] * 5, [0.0] * 5, at_once=2)
    assert sorted(one.error for one in load.answers) == ["", "", DROPPED, DROPPED, DROPPED]


def test_a_scenario_runs_its_phases_and_is_told_on_a_page(gateway: Gateway) -> None:
    known = Declared.model_validate(json.loads(SHORT))
    ran = scenario_load.run(known, "short", Target("gateway", gateway.url, "chat", "dev-key", ignore_eos=False))
    assert [(one.phase, one.requests, one.answered) for one in ran.phases] == [("rise", 4, 4), ("steady", 6, 6)]
    assert ran.broken == []
    said = page([ran], given=True)
    assert re.search(
        r"^\| steady \| 6 \| 6 \| 6 \| 0 \| 0 \| 0 \| p50 \d+, p95 \d+ \(at most 60000\) \|", said, re.MULTILINE
    )


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios.json"
    path.write_text(SHORT)
    return path


def test_the_command_starts_what_it_needs(short: Path) -> None:
    done = load("short", "--declared", str(short))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "short, steady: 6 of 6 answered" in done.stdout


def test_the_command_ends_with_1_where_a_threshold_is_broken(short: Path, gateway: Gateway) -> None:
    short.write_text(SHORT.replace('"first_ms": {"p95": 60000}', '"first_ms": {"p95": 0.001}'))
    done = load("short", "--declared", str(short), "--url", gateway.url)
    assert done.returncode == 1
    assert "broken: short, steady: first p95 ms" in done.stdout
    assert "6 of 6 answered" in done.stdout


def test_the_command_ends_with_1_where_nobody_gets_an_answer(short: Path, gateway: Gateway) -> None:
    done = load("short", "--declared", str(short), "--url", gateway.url, "--model", "ill")
    assert done.returncode == 1
    assert re.search(r"^broken: short, rise: failed: 0\.\d+, at most 0$", done.stdout, re.MULTILINE)


def test_a_scenario_that_is_none_is_refused_by_name() -> None:
    done = load("smok")
    assert done.returncode == 2
    assert "SCENARIO=smok is refused: take one of smoke, baseline, spike" in done.stderr


def test_the_committed_page_is_of_these_scenarios() -> None:
    said = (ROOT / "docs" / "reports" / "load.md").read_text()
    assert [name for name, one in KNOWN.scenarios.items() if f"## {name}\n\n{one.about}" not in said] == []
    assert re.findall(r"^\| (\w+) \| \d", said, re.MULTILINE) == [phase.name for _, phase in PHASES]


TYPED = re.findall(
    r"^make ((?:load|chaos)(?: [^#\n]*)?)(?:#|$)", (ROOT / "docs/how-to/load-and-chaos.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize("line", TYPED)
def test_what_the_page_says_to_type_is_a_scenario_that_there_is(line: str) -> None:
    target, *given = line.split()
    words = dict(word.split("=") for word in given)
    printed = subprocess.run(["make", "--dry-run", target, *given], cwd=ROOT, capture_output=True, text=True).stdout
    module = {"load": "tests.bench.scenario_load", "chaos": "tests.chaos.scenarios"}[target]
    scenarios = KNOWN.scenarios.keys() | chaos_scenarios().keys()
    command = printed.partition(f"-m {module} ")[2].replace("\\\n", " ").split()
    assert words.get("SCENARIO", "smoke") in scenarios
    wanted = [words["SCENARIO"]] if "SCENARIO" in words else ["--page", f"docs/reports/{target}.md"]
    wanted += [f'"{words["URL"]}"', f'"{words["MODEL"]}"'] if "URL" in words else []
    wanted += ["--edges", words["EDGE"]] if "EDGE" in words else []
    assert [word for word in wanted if word not in command] == []


def load(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench.scenario_load", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
