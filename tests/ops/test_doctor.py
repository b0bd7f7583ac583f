"""`nexus doctor` on a machine and in a checkout that are well, and on each that is not."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import pytest

from nexus_release.doctor import looks
from nexus_release.doctor.finding import Finding
from nexus_release.doctor.machine import Machine, machine
from nexus_release.local.free_ports import free_port

from ..support.doctor import Doctor
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Doctor:
    return Doctor(monkeypatch, capsys, tmp_path / "state")


WELL = Machine(
    python=(3, 12),
    programs={"git": "git version 2.39.5", "make": "GNU Make 4.3", "docker": "/usr/bin/docker"},
    folder=Path("/srv/nexus"),
    writable=True,
    free_bytes=50 << 30,
    memory_bytes=16 << 30,
    taken={},
    wanted={"gateway": 8000},
)


def seen(**changes: object) -> dict[str, Finding]:
    return {one.name: one for one in machine(Machine(**{**vars(WELL), **changes}))}  # type: ignore[arg-type]  # cases


def test_a_machine_that_is_well_has_no_fault() -> None:
    found = seen()
    assert {one.verdict for one in found.values()} == {"ok", "not here"}
    assert found["docker"].verdict == "ok"
    assert found["kubectl"].verdict == "not here"


@pytest.mark.parametrize(
    ("changes", "name", "verdict", "said"),
    [
        ({"python": (3, 10)}, "Python", "fail", "3.10 runs this"),
        ({"python": (3, 14)}, "Python", "fail", "3.14 runs this"),
        ({"programs": {"make": "GNU Make 4.3"}}, "git", "fail", "none on PATH"),
        ({"programs": {"git": "git version 2.39.5"}}, "make", "fail", "none on PATH"),
        ({"free_bytes": 1 << 20}, "disk", "fail", "0.0 GiB are left"),
        ({"free_bytes": 2 << 30}, "disk", "warn", "2.0 GiB are left"),
        ({"writable": False}, "disk", "fail", "is no folder that may be written"),
        ({"memory_bytes": 1 << 30}, "memory", "warn", "1.0 GiB are left"),
        ({"memory_bytes": None}, "memory", "not here", "does not say"),
        ({"taken": {"gateway": 8000}}, "port 8000", "warn", "somebody else listens"),
    ],
)
def test_what_a_machine_lacks_is_said_with_its_mend(
    changes: dict[str, object], name: str, verdict: str, said: str
) -> None:
    found = seen(**changes)[name]
    assert found.verdict == verdict
    assert said in found.said
    assert found.mend or verdict == "not here"


def test_without_git_and_make_on_the_path_the_doctor_ends_with_1(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = doctor("machine", PATH=str(tmp_path / "empty"))
    assert {found[name][0]["verdict"] for name in ("git", "make")} == {"fail"}
    assert "apt-get install git" in found["git"][0]["mend"]


def test_this_machine_is_told_as_it_is(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setattr(looks, "_PORTS", {"gateway": port, "MLflow": free_port()})
        found = doctor("machine")
    assert found["Python"][0]["said"] == ".".join(map(str, sys.version_info[:2]))
    assert found["git"][0]["said"].startswith("git version")
    assert found[f"port {port}"][0]["verdict"] == "warn"
    assert sorted(one[0]["verdict"] for name, one in found.items() if name.startswith("port")) == ["ok", "warn"]


@pytest.mark.parametrize("below", ["", "deeper/state"], ids=["it", "below-it"])
def test_a_file_where_the_state_should_be_is_a_fault(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, below: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    (disk,) = doctor("machine", NEXUS_STATE=str(file / below))["disk"]
    assert (disk["verdict"], disk["said"]) == ("fail", f"{file / below} is no folder that may be written")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    root = tmp_path / "house"
    plant_house(root)
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    shutil.copytree(ROOT / "requirements", root / "requirements")
    shutil.copytree(ROOT / "gitops" / "overlays", root / "gitops" / "overlays")
    return root


def test_a_checkout_that_is_well_has_no_fault(doctor: Doctor, house: Path, tmp_path: Path) -> None:
    remote = Remote(tmp_path, lambda clone: (clone / "README.md").write_text("main\n"))
    found = doctor("environment", root=house, NEXUS_REMOTE=str(remote.path))
    told = {one["name"]: one["verdict"] for several in found.values() for one in several}
    code = told.pop("code")
    assert code == "warn"  # the code that runs is this repository's, and not the house's
    assert set(told.values()) == {"ok"}
    assert {"lock", "remote", "settings of prod", "gitops/prod", "gitops/local"} <= told.keys()
    assert remote.head[:12] in found["remote"][0]["said"]


def test_a_package_that_is_not_as_the_lock_pins_it_is_a_fault(doctor: Doctor, house: Path) -> None:
    (house / "requirements" / "run.txt").write_text(
        "click==0.1 \\\n    --hash=sha256:00\nno-such-thing==1.0\ncolorama==9.9 ; sys_platform == 'win32'\n"
    )
    (found,) = doctor("environment", root=house)["lock"]
    assert found["verdict"] == "fail"
    assert found["said"].startswith("2 of 2 packages are not as requirements/run.txt pins them: click 0.1 (")
    assert "no-such-thing 1.0 (missing)" in found["said"]
    assert "make setup" in found["mend"]


def test_settings_that_are_refused_are_a_fault_of_their_environment_alone(doctor: Doctor, house: Path) -> None:
    settings = house / "environments" / "dev" / "settings.yaml"
    settings.write_text(settings.read_text() + "replicaz: 3\n")
    found = doctor("environment", root=house)
    assert found["settings of dev"][0]["verdict"] == "fail"
    assert "replicaz" in found["settings of dev"][0]["said"]
    assert found["gitops/dev"][0]["verdict"] == "fail"
    assert {found[name][0]["verdict"] for name in ("settings of prod", "gitops/prod")} == {"ok"}


def test_a_rendered_file_that_somebody_changed_is_a_fault(doctor: Doctor, house: Path) -> None:
    file = next((house / "gitops" / "prod").rglob("*.yaml"))
    file.write_text(file.read_text() + "# mine\n")
    (found,) = doctor("environment", root=house)["gitops/prod"]
    assert found["verdict"] == "fail"
    assert f"{file.relative_to(house)} changed" in found["said"]
    assert found["mend"] == "`nexus render`, and commit"


def test_a_folder_that_is_no_checkout_is_told_and_is_no_fault(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor("environment", root=tmp_path)
    assert {one[0]["verdict"] for one in found.values()} == {"not here"}
    assert found.keys() == {"checkout", "remote"}


def test_a_remote_that_does_not_answer_is_a_fault_and_shows_no_password(doctor: Doctor, tmp_path: Path) -> None:
    named = f"http://me:secret@127.0.0.1:{free_port()}/nexus.git"
    (found,) = doctor("environment", root=tmp_path, NEXUS_REMOTE=named)["remote"]
    assert found["verdict"] == "fail"
    assert "secret" not in found["said"]
