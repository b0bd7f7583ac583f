"""`make bench` and `make bench-guard`: what is refused, what is measured, what it comes to, and what the page says."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nexus_release.errors import NexusError

from ..bench.gateways import ends as both_ends
from ..bench.gateways import guard, side_by_side
from ..bench.gateways.cases import FEW, IDLE, LATENCY, POOLED, QUICK, REQUEST, STREAMS_32, STREAMS_1000, Plan
from ..bench.gateways.ends import KEY, BothEnds, Case, Run, compiled
from ..bench.gateways.gateways import (
    ECHO,
    FASTAPI,
    KNOWN,
    NEXUS,
    NEXUS_ASGI,
    NEXUS_WIRE,
    NGINX,
    Gateway,
    Start,
    filled,
    there,
)
from ..bench.gateways.goals import Bounds, Judged, judged
from ..bench.gateways.measured import Measured, Spread, spread
from ..bench.gateways.page import Setting, page
from ..bench.gateways.rounds import DIRECT, Cell, Outcome, compared
from ..support.gateway_command import command

RUN = Run(
    seconds=1.0, units=1000, errors=0, stalls=0, cpu_us=0.0, rss_kib=0, p50_us=-1, p99_us=-1, own_share=0.5,
    engine_connections=1,
)  # fmt: skip
SETTING = Setting(QUICK, {NGINX: "1.22.1", NEXUS: "0.1.0", FASTAPI: "0.165.0"}, 0, 1, 0.1, 1.2, 9.0)
needs_compiler = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("taskset")), reason="no C compiler, or no taskset"
)


def cells(gateway: str, case: Case, *costs: float, **seen: float) -> list[Cell]:
    """One round for each cost, in microseconds for each of 1,000 units."""
    runs = [replace(RUN, cpu_us=1000 * cost, **seen) for cost in costs]  # type: ignore[arg-type]  # names are Run's
    return [Cell(gateway, case.name, number, run) for number, run in enumerate(runs)]


# --- what the rounds come to ------------------------------------------------------------------------------------------


def test_a_ratio_is_taken_within_each_round() -> None:
    measured = Measured([*cells(NGINX, REQUEST, 30, 60, 40), *cells(NEXUS, REQUEST, 60, 120, 50)])
    assert measured.cost(NEXUS, REQUEST) == Spread(60, 50, 120)
    assert measured.times(NEXUS, NGINX, REQUEST) == Spread(0.5, 0.5, 0.8)


def test_only_rounds_that_both_have_are_compared() -> None:
    measured = Measured([*cells(NGINX, REQUEST, 30, 60, 40), *cells(FASTAPI, REQUEST, 3000)])
    assert measured.times(NGINX, FASTAPI, REQUEST) == Spread(100, 100, 100)
    assert measured.times(NGINX, NEXUS, REQUEST) is None


def test_a_round_with_errors_counts_for_nothing_but_the_errors() -> None:
    good, bad = cells(NEXUS, REQUEST, 60), cells(NEXUS, REQUEST, 0, 1, errors=7)[1:]
    measured = Measured([*good, *bad])
    assert measured.cost(NEXUS, REQUEST) == Spread(60, 60, 60)
    assert measured.errors() == {(NEXUS, REQUEST.name): 7}


def test_latency_is_what_a_gateway_adds_and_nothing_for_one_that_does_not_keep_up() -> None:
    direct = cells(DIRECT, LATENCY, 0, p50_us=70, p99_us=150)
    kept_up = cells(NEXUS, LATENCY, 60, p50_us=270, p99_us=550, units=999)
    late = cells(FASTAPI, LATENCY, 60, p50_us=90_000, p99_us=95_000, units=400)
    measured = Measured([*direct, *kept_up, *late, *cells(NGINX, LATENCY, 30, p50_us=230)])
    assert measured.added(NEXUS, 50) == Spread(200, 200, 200)
    assert measured.added(NEXUS, 99) == Spread(400, 400, 400)
    assert measured.times_added(NEXUS, NGINX, 50) == Spread(1.25, 1.25, 1.25)
    assert measured.added(FASTAPI, 50) is None


def test_memory_and_idle_connections_are_held_against_none() -> None:
    idle = [Cell(NEXUS, "idle", 0, replace(RUN, rss_kib=50 * 1024))]
    full = cells(NEXUS, STREAMS_1000, 20, rss_kib=60 * 1024)
    measured = Measured([*idle, *full, *cells(NEXUS, FEW, 40), *cells(NEXUS, POOLED, 42)])
    assert measured.idle_memory(NEXUS) == Spread(50, 50, 50)
    assert measured.stream_memory(NEXUS) == Spread(10, 10, 10)
    assert measured.times_pooled(NEXUS) == Spread(1.05, 1.05, 1.05)
    assert measured.stream_memory(NGINX) is None


@pytest.mark.parametrize(
    ("more_is_better", "found", "verdict"),
    [
        (True, 0.75, "goal"),
        (True, 0.74, "must"),
        (True, 0.55, "must"),
        (True, 0.54, "**missed**"),
        (True, None, "not measured"),
        (False, 0.55, "goal"),
        (False, 0.56, "must"),
        (False, 0.76, "**missed**"),
    ],
)
def test_a_figure_is_judged_by_its_median(more_is_better: bool, found: float | None, verdict: str) -> None:
    bounds = Bounds(0.55, 0.75) if more_is_better else Bounds(0.75, 0.55)
    measured = None if found is None else Spread(found, 0.0, 9.0)
    assert Judged("x", bounds, more_is_better, measured).verdict == verdict


def test_no_value_has_no_spread() -> None:
    assert spread([]) is None
    assert spread([3, 1, 2]) == Spread(2, 1, 3)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_says_what_was_measured_what_was_missed_and_what_was_left_out() -> None:
    outcome = Outcome(
        (
            *cells(NGINX, REQUEST, 30, 32),
            *cells(NEXUS, REQUEST, 60, 64),
            *cells(NEXUS, STREAMS_32, 1, errors=3),
            *cells(FASTAPI, REQUEST, 4000),
            *cells(NGINX, STREAMS_32, 1, stalls=2),
        ),
        {"haproxy": "not here:\n  install it"},
    )
    said = page(outcome, SETTING)
    for line in (
        "| nginx | 1.22.1 | nothing |",
        "- haproxy: not here: install it",
        "| request: times the capacity of nginx | ≥ 0.55 | ≥ 0.75 | 0.50 (0.50 to 0.50) | **missed** |",
        "| 32 streams: times the capacity of nginx | ≥ 0.9 | ≥ 1.1 | - | not measured |",
        "| nexus | 62.0 (60.0 to 64.0) | 0.50 (0.50 to 0.50) | - |",
        "| fastapi-httpx | 4000 (4000 to 4000) | 0.0075 (0.0075 to 0.0075) | - |",
        "- nexus, 32 streams: 3 requests failed; its rounds with errors are not counted.",
        "- nginx, 32 streams: 2 events were kept for more than 3 s, and others sent meanwhile.",
    ):
        assert line in said
    assert "{" not in said
    assert "other work" not in said.partition("## ")[0]


def test_a_page_from_a_busy_machine_says_so() -> None:
    said = page(Outcome((), {}), replace(SETTING, load_before=4.0))
    assert "The machine did other work meanwhile" in said
    assert "None was left out." in said
    assert "No request failed, and no event was kept." in said


def test_every_goal_of_the_issue_is_judged() -> None:
    rows = list(judged(Measured([])))
    assert len(rows) == len({row.what for row in rows}) == 4 + 4 + 3 + 3 + 1 + 1 + 2 + 1
    assert {row.verdict for row in rows} == {"not measured"}
    for row in rows:
        assert (row.bounds.goal >= row.bounds.must) if row.more_is_better else (row.bounds.goal <= row.bounds.must)


# --- the configurations of others -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nginx.conf", "nginx_features.conf"])
def test_nginx_takes_our_configuration(tmp_path: Path, name: str) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx: SERVICES=bench make services")
    done = subprocess.run([nginx, "-t", "-c", filled(name, tmp_path, 8001, 8002)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_haproxy_takes_our_configuration(tmp_path: Path) -> None:
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if haproxy is None:
        pytest.skip("no haproxy: SERVICES=bench make services")
    words = [haproxy, "-c", "-f", filled("haproxy.cfg", tmp_path, 8001, 8002)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_litellm_is_given_the_key_and_the_engine(tmp_path: Path) -> None:
    said = yaml.safe_load(filled("litellm.yaml", tmp_path, 8001, 8002).read_text())
    assert said["general_settings"]["master_key"] == KEY
    assert [one["litellm_params"]["api_base"] for one in said["model_list"]] == ["http://127.0.0.1:8002/v1"]


@pytest.mark.parametrize(("name", "edge"), [(NEXUS, "native"), (NEXUS_WIRE, "wire"), (NEXUS_ASGI, "asgi")])
def test_nexus_has_everything_on(tmp_path: Path, name: str, edge: str) -> None:
    start = KNOWN[name].start(tmp_path, 8001, 8002)
    routes, keys = (yaml.safe_load((tmp_path / file).read_text()) for file in ("routes.yaml", "keys.yaml"))
    assert command("check", tmp_path / "routes.yaml", "--json").told["routes"] == ["bench"]
    assert set(routes["policies"][keys["keys"][0]["tenant"]]) >= {"requests_per_minute", "tokens_per_minute"}
    assert keys["keys"][0]["digest"] == f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    assert f"--audit={tmp_path / 'audit'}" in start.argv
    assert start.environment == {"GATEWAY_EDGE": edge}


def test_who_is_not_on_this_machine_is_named_with_what_to_do() -> None:
    absent = replace(KNOWN["haproxy"], version=lambda: None)
    assert there([absent, KNOWN[NEXUS]])[1] == {"haproxy": absent.missing}
    assert "make services" in absent.missing


def test_a_gateway_that_is_not_known_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["side_by_side", "--gateways=nginx,caddy", str(tmp_path / "page.md"), str(tmp_path / "figures.json")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="2"):
        side_by_side.main()
    assert "--gateways: 'caddy' is refused: take some of nginx" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- both ends, and gateways between them -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothEnds]:
    with BothEnds(compiled(tmp_path_factory.mktemp("ends")), side_by_side.cores()[0]) as started:
        yield started


@needs_compiler
def test_the_engine_itself_is_asked_by_every_load(ends: BothEnds) -> None:
    for case in (replace(REQUEST, clients=4), replace(STREAMS_32, clients=4), replace(LATENCY, clients=4)):
        run = ends.run(ends.port, case, (), warm=0.0, measured=0.1)
        assert (run.errors, run.stalls, run.seconds >= 0.1, run.units > 0) == (0, 0, True, True)
        assert (run.p99_us >= run.p50_us > 0) == (not case.events)


def ran(pid: int) -> float:
    """Microseconds that its threads have."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e3


@needs_compiler
def test_each_thread_s_time_is_counted_once(ends: BothEnds) -> None:
    """Within a run it has run no longer than from before it to behind it."""
    a_tick = 10_000.0  # in which the kernel may not have counted yet
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning:
        try:
            before = ran(spinning.pid)
            run = ends.run(ends.port, IDLE, (spinning.pid,), warm=0.0, measured=0.3)
            assert 0 < run.cpu_us <= ran(spinning.pid) - before + a_tick
        finally:
            spinning.kill()


@needs_compiler
@pytest.mark.parametrize("name", [ECHO, FASTAPI])
def test_a_proxy_hands_on_answers_and_streams(ends: BothEnds, tmp_path: Path, name: str) -> None:
    cases = (replace(REQUEST, clients=4), replace(STREAMS_32, clients=4), replace(POOLED, clients=2, pooled=20))
    plan = Plan(rounds=1, slow_rounds=1, seconds=0.1, slow_seconds=0.1, warm_seconds=0.0)
    gateway = replace(KNOWN[name], slow=False)
    outcome = compared([gateway], cases, plan, ends, tmp_path, side_by_side.cores()[1])
    assert outcome.left_out == {}
    found = {cell.case: cell.run for cell in outcome.cells}
    assert set(found) == {"idle", *(case.name for case in cases)}
    assert all(run.errors == run.stalls == 0 and run.rss_kib > 0 for run in found.values())
    assert all(found[case.name].units > 0 and found[case.name].cpu_us > 0 for case in cases)
    assert found[POOLED.name].engine_connections >= 20


@needs_compiler
def test_a_gateway_that_fails_is_left_out_and_the_others_go_on(ends: BothEnds, tmp_path: Path) -> None:
    says_no = 'import sys; sys.exit("no licence")'
    broken = Gateway("broken", "", lambda: "1", lambda folder, port, engine: Start((sys.executable, "-c", says_no)))
    plan = Plan(rounds=1, slow_rounds=1, seconds=0.05, slow_seconds=0.05, warm_seconds=0.0)
    case = replace(REQUEST, clients=2)
    outcome = compared([broken, KNOWN[ECHO]], [case], plan, ends, tmp_path, side_by_side.cores()[1])
    assert list(outcome.left_out) == ["broken"]
    assert "no licence" in outcome.left_out["broken"]
    assert {cell.gateway for cell in outcome.cells} == {ECHO}


@needs_compiler
def test_who_takes_no_connection_fails_and_both_ends_go_on(ends: BothEnds) -> None:
    with pytest.raises(NexusError, match="took no connection"):
        ends.run(both_ends.free_port(), REQUEST, (), warm=0.0, measured=0.05)
    assert ends.run(ends.port, replace(REQUEST, clients=1), (), warm=0.0, measured=0.05).units > 0


def test_without_a_compiler_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NexusError, match="cc is not here: install a C compiler"):
        compiled(tmp_path)


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratios", "lost"),
    [
        ([0.50] * 9, False),
        ([0.46] * 9, False),
        ([0.44] * 9, True),
        ([0.30, 0.32, 0.40, 0.44, 0.48, 0.50, 0.52, 0.52, 0.52], False),
        ([0.30, 0.32, 0.40, 0.40, 0.41, 0.42, 0.43, 0.43, 0.52], True),
    ],
)
def test_a_loss_counts_beyond_ten_percent_and_the_spread(ratios: list[float], lost: bool) -> None:
    assert guard.held("request", 0.5, ratios).lost == lost


@pytest.mark.parametrize(("measured", "status", "said"), [(0.5, 0, "holds"), (0.4, 1, "LOST")])
def test_the_guard_fails_where_capacity_is_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    measured: float,
    status: int,
    said: str,
) -> None:
    baseline = tmp_path / "baseline.json"
    for words, ratio in ((["--write"], 0.5), ([], measured)):
        monkeypatch.setattr(guard, "measured_ratios", lambda ratio=ratio: {"request": [ratio] * 9})
        monkeypatch.setattr(sys, "argv", ["guard", f"--baseline={baseline}", *words])
        ended = guard.main()
    assert json.loads(baseline.read_text()) == {"request": 0.5}
    assert ended == status
    assert f"request: {said}:" in capsys.readouterr().out


def test_the_committed_baseline_has_every_case() -> None:
    kept = json.loads(guard.BASELINE.read_text(encoding="utf-8"))
    assert sorted(kept) == sorted(case.name for case in guard.CASES)
    assert all(0 < ratio < 2 for ratio in kept.values())
