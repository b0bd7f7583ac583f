"""Windows one after the other, as a clock would look at them: drift asks for one release, and never for two."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from nexus_release.errors import Conflict, NexusError, Unreachable
from nexus_release.journal import StepResult, keep_result
from nexus_release.monitoring.report import get_report, report_text
from nexus_release.monitoring.watch import NoReferenceYet

from ..chaos.effects import Fault
from ..chaos.effects import Watched as WatchedProcess
from ..support.traffic import DAY, MODEL, START, at, day, write_log
from ..support.typed_page import typed
from ..support.watched import DRIFT, QUIET, House


class Deaf:
    """Nobody answers."""

    def knows(self, model: str, report: str) -> bool:
        raise Unreachable("Airflow is away")

    def tell(self, model: str, extra: Mapping[str, str]) -> None:
        raise AssertionError("nothing is sent before it is looked for")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House.built(tmp_path)


def test_drift_asks_for_one_release_and_not_for_two(house: House) -> None:
    seen = [house.look(number) for number in (*QUIET, *DRIFT)]
    assert [one.report.level for one in seen] == ["below"] * 2 + ["above"] * 5
    assert [one.verdict.action for one in seen] == ["none"] * 4 + ["send", "sent", "sent"]
    assert house.told.all() == [{"model": MODEL, "report": seen[4].digest, "at": at(12)}]
    assert [house.look(number) for number in (*QUIET, *DRIFT)][4].told is False  # all again, as after a restore
    assert len(house.told.all()) == 1


def test_a_report_is_in_the_store_and_the_same_when_it_is_made_again(house: House) -> None:
    first = house.look(9)
    kept = get_report(house.tools.store, first.digest)
    assert kept == first.report
    assert kept.subject.release == house.release
    assert (kept.subject.reference.since, kept.subject.reference.until) == (at(0), at(7))
    done = house.command("--replay", first.digest)
    assert done.returncode == 0, done.stderr
    assert "byte for byte" in done.stdout
    assert report_text(house.look(9).report) == report_text(first.report)
    write_log(house.log, day(9, house.release, seed=5), "late")
    assert house.command("--replay", first.digest).returncode == 1
    with pytest.raises(Conflict, match="reported already"):
        house.look(9)


@pytest.mark.timeout(900)  # forty processes, and three looks at a remote after each
def test_killed_at_any_single_effect_it_asks_once_when_it_is_run_again(house: House, tmp_path: Path) -> None:
    """After the report is kept, before and after somebody is told, before it is noted: everywhere."""
    for number in (*QUIET, *DRIFT[:2]):
        house.look(number)
    template = tmp_path / "template"
    shutil.copytree(house.folder / "state", template)
    effects = 0
    while True:
        shutil.rmtree(house.folder / "state")
        shutil.copytree(template, house.folder / "state")
        house.told.path.unlink(missing_ok=True)
        status = look_in_a_child(house, DRIFT[2], Fault("kill", effects))
        assert house.look(DRIFT[2]).verdict.action in ("send", "sent")
        assert house.look(DRIFT[3]).verdict.action == "sent"
        assert [one["at"] for one in house.told.all()] == [at(12)], f"killed at effect {effects}"
        if status == 0:
            break
        assert status == -signal.SIGKILL
        effects += 1
    assert effects > 20


def look_in_a_child(house: House, number: float, fault: Fault) -> int:
    child = os.fork()
    if child == 0:
        try:
            WatchedProcess(house.folder, house.folder / "effects", fault).begin()
            house.look(number)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_where_nobody_answers_nothing_is_noted_and_the_next_look_asks(house: House) -> None:
    for number in (*QUIET, *DRIFT[:2]):
        house.look(number)
    with pytest.raises(Unreachable):
        house.look(DRIFT[2], Deaf())
    later = house.look(DRIFT[3])
    assert (later.verdict.action, later.told) == ("send", True)
    assert [one["at"] for one in house.told.all()] == [at(13)]


def test_a_promotion_begins_anew(house: House) -> None:
    for number in (*QUIET, *DRIFT[:3]):
        house.look(number)
    pointer = house.stable(2, at(14))
    with pytest.raises(NoReferenceYet, match=f"from {at(14)} to {at(21)}"):
        house.look(20)
    early = house.command("--since", at(20), "--until", at(21))
    assert (early.returncode, early.stderr.count("\n")) == (0, 1)
    for number in range(14, 22):
        write_log(house.log, day(number, pointer.release, longer=2))
    fresh = house.look(21)
    assert (fresh.report.level, fresh.verdict.action) == ("below", "none")


def test_what_the_budget_refuses_is_said_and_ends_with_3(house: House) -> None:
    house.settle(budget={"days": 30, "releases": 0})
    for number in (*QUIET, *DRIFT[:2]):
        house.look(number)
    done = house.command("--since", at(11), "--until", at(12), "--airflow", "http://127.0.0.1:9")
    assert done.returncode == 3
    assert "no release is asked for: drift has asked for 0 releases in 30 days, 0 are allowed" in done.stderr
    assert house.told.all() == []
    house.settle()  # somebody gives more
    assert house.look(DRIFT[3]).told


def test_gpu_hours_are_those_of_the_journal(house: House) -> None:
    house.settle(budget={"gpu_hours": 3})
    for number, seconds in enumerate((3600 * 2.0, 3600 * 1.5)):
        started = (START + DAY * 10 + timedelta(hours=number)).isoformat()
        result = StepResult(step="train", key=f"{number}", given={}, out={}, notes={}, started=started, seconds=seconds)
        keep_result(house.tools.work, result)
    for number in (*QUIET, *DRIFT[:2]):
        house.look(number)
    verdict = house.look(DRIFT[2]).verdict
    assert (verdict.action, verdict.reason) == ("refuse", "3.5 GPU-hours are spent in 30 days, 3 are allowed")


def test_on_a_laptop_the_release_is_run_at_once_and_says_what_asks_for_it(house: House) -> None:
    for number in (*QUIET, *DRIFT[:2]):
        house.look(number)
    (house.folder / "bad.jsonl").write_text("no JSON\n" * 10)
    spec = house.folder / "spec.yaml"
    spec.write_text(json.dumps({"model": MODEL, "dataset": "nowhere.jsonl"}))
    words = ("--release", str(spec), "--dataset", str(house.folder / "bad.jsonl"), "--json")
    window = ("--since", at(11), "--until", at(12))
    house.settle()
    gates = yaml.safe_load((house.folder / "root/environments/staging/settings.yaml").read_text())
    gates["gates"]["data"] = {"reference": None}  # the made-up stable release has no dataset
    (house.folder / "root/environments/staging/settings.yaml").write_text(yaml.safe_dump(gates))
    done = house.command(*words, *window)
    assert done.returncode == 3, done.stderr  # the data gate's no
    told = json.loads(done.stdout)
    (path,) = (house.folder / "state" / "runs").glob("*/summary.json")
    inputs = json.loads(path.read_text())["inputs"]
    assert (inputs["reason"], inputs["dataset"]) == (told["digest"], str(house.folder / "bad.jsonl"))
    assert inputs["data_gate"]["on_drift"] == "report"
    again = house.command(*words, *window)
    assert (again.returncode, json.loads(again.stdout)["verdict"]["action"]) == (0, "sent")


def test_the_command_tells_every_figure_and_that_nobody_is_told(house: House) -> None:
    for number in (*QUIET, *DRIFT[:2]):
        house.look(number)
    dry = house.command("--since", at(11), "--until", at(12), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "level      above" in dry.stdout
    assert f"window     {at(11)} to {at(12)}: 300 answers, 300 looked at" in dry.stdout
    done = house.command("--since", at(11), "--until", at(12))
    assert done.returncode == 0
    assert "verdict    send" in done.stdout
    assert "nobody is told: give --airflow, --release or --flags" in done.stderr
    assert house.look(DRIFT[3]).told  # it is still due


def test_what_the_page_says_to_type_looks_at_two_windows_and_makes_the_report_again(house: House) -> None:
    root = house.folder / "root"
    here = {
        "--reference-until 2026-11-01T11:00:00Z": f"--reference-until {at(7)}",
        "2026-11-01T10:00:00Z": at(0),
        "2026-11-01T11:00:00Z": at(9),
        "2026-11-01T12:00:00Z": at(10),
        "pydoc-chat": f"{MODEL} --env staging --root {root}",
        ".nexus/local/decisions": str(house.log),
        "/var/log/nexus/decisions": str(house.log),
        "sha256:5d0c…": house.look(9).digest,
    }
    told = {"NEXUS_STATE": str(house.folder / "state"), "NEXUS_REMOTE": str(house.remote.path)}
    typed(__file__, "docs/how-to/retrain-on-drift.md", here, house.folder, **told)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--since", "yesterday"), 2, "--since"),
        (("--since", at(9), "--until", at(8)), 2, "--since"),
        (("--reference-since", at(5), "--reference-until", at(4)), 2, "--reference-until"),
        (("--airflow", "ftp://x", "--since", at(9), "--until", at(10)), 2, "--airflow"),
        (("--airflow", "http://x", "--release", "spec.yaml"), 2, "--airflow"),
        (("--replay", "sha256:" + "0" * 64), 1, "not in the store"),
    ],
)
def test_what_cannot_work_is_said(house: House, words: tuple[str, ...], status: int, said: str) -> None:
    done = house.command(*words)
    assert done.returncode == status
    assert said in done.stderr


def test_a_model_without_a_plan_is_missing(house: House) -> None:
    with pytest.raises(NexusError, match="main has no such plan"):
        house.look(9, model="other")
