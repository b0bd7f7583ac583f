"""Who holds what: a step is told only of what it declares effects on, and `propose` alone can push."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.commands.change import open_tools
from nexus_release.errors import NexusError, RemoteRefused
from nexus_release.graph import NODES
from nexus_release.local.processes import Process, Program
from nexus_release.local.waiting import wait_until
from nexus_release.proposals import admission, admission_branch, land_or_leave
from nexus_release.record import record_text, release_id
from nexus_release.renderer import render_with_own_code
from nexus_release.wiring import SECRETS, Connections, Tools, forget_secrets

from ..support.git_http import GitServer, serving
from ..support.releases import make_record
from ..support.remotes import Remote, plant_house

MODEL = "pydoc-chat"
READS_MODELS = ("fit", "train", "quantize", "inspect", "evaluate")


def limited(step: str) -> Connections:
    whole = Connections(work="file:///w", registry="http://registry", remote="https://r@git", push="https://w@git")
    return Tools(whole).limited(NODES[step].step.effects).connections


def test_propose_alone_can_push() -> None:
    assert [step for step in NODES if limited(step).push is not None] == ["propose"]


def test_propose_alone_is_told_of_the_forge() -> None:
    whole = Connections(work="file:///w", registry="", remote="https://r@git", forge="gitea", forge_token="secret")
    told = {step: Tools(whole).limited(NODES[step].step.effects).connections.forge_token for step in NODES}
    assert {step for step, token in told.items() if token} == {"propose"}
    for step in NODES:
        environ = {"NEXUS_FORGE_TOKEN": "secret"}
        forget_secrets(environ, NODES[step].step.effects)
        assert bool(environ) == (step == "propose")


def test_sign_alone_sees_the_signing_key() -> None:
    assert [step for step in NODES if limited(step).signing_key is not None] == ["sign"]
    keepers = []
    for step in NODES:
        environ = dict.fromkeys(SECRETS, "secret")
        forget_secrets(environ, NODES[step].step.effects)
        keepers += [step] if "NEXUS_SIGNING_KEY" in environ else []
    assert keepers == ["sign"]


@pytest.mark.parametrize("step", READS_MODELS)
def test_a_step_that_reads_models_knows_no_remote(step: str) -> None:
    tools = Tools(limited(step))
    assert tools.connections.remote == ""
    with pytest.raises(NexusError, match="declares no effect on Git"):
        _ = tools.repository


@pytest.mark.parametrize("step", ["validate", "quantize", "inspect", "evaluate"])
def test_a_step_without_an_effect_on_the_registry_does_not_know_it(step: str) -> None:
    with pytest.raises(NexusError, match="declares no effect on the registry"):
        _ = Tools(limited(step)).registry


@pytest.mark.parametrize("step", READS_MODELS)
def test_its_process_holds_no_credential_of_git(step: str) -> None:
    environ = dict.fromkeys(SECRETS, "secret") | {"PATH": "/bin"}
    forget_secrets(environ, NODES[step].step.effects)
    assert not [name for name in environ if "REMOTE" in name or "GIT" in name or "SSH" in name]
    assert environ["PATH"] == "/bin"
    assert ("HF_TOKEN" in environ) == (step in ("fit", "train"))
    assert ("MLFLOW_TRACKING_TOKEN" in environ) == (step in ("fit", "train"))


def test_render_reads_git_and_holds_no_credential_that_pushes() -> None:
    environ = dict.fromkeys(SECRETS, "secret")
    forget_secrets(environ, NODES["render"].step.effects)
    assert "NEXUS_REMOTE" in environ
    assert "NEXUS_PUSH_REMOTE" not in environ


def test_a_container_s_step_has_lost_them_before_it_reads_a_row(tmp_path: Path) -> None:
    """Seen from inside: what reads the data here is a plugin of Python's, as hostile data's code would be."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def seen(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('rows.jsonl'):\n"
        "        open('seen', 'w').write(' '.join(sorted(os.environ)))\n"
        "sys.addaudithook(seen)\n"
    )
    (tmp_path / "rows.jsonl").write_text("no JSON\n")
    given = {"model": "m", "environment": "local", "dataset": "rows.jsonl", "declaration": None, "gate": {}}
    (tmp_path / "in.json").write_text(json.dumps(given))
    subprocess.run(
        [str(Path(sys.executable).parent / "nexus"), "step", "validate", "--in", "in.json", "--out", "out.json"],
        cwd=tmp_path,
        env={
            **os.environ,
            **dict.fromkeys(SECRETS, "secret"),
            "NEXUS_WORK": tmp_path.as_uri(),
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        },
        check=True,
        capture_output=True,
    )
    assert {*SECRETS} & {*(tmp_path / "seen").read_text().split()} == set()


SHOWN = "import os\nopen('seen', 'w').write(' '.join(os.environ))\n"


def test_the_code_of_main_that_renders_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nexus release` with NEXUS_SIGNING_KEY set renders in a process of its own."""
    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    code = tmp_path / "pipelines/nexus_release"
    code.mkdir(parents=True)
    (code / "__init__.py").touch()
    (code / "cli.py").write_text(SHOWN)
    render_with_own_code(tmp_path)
    seen = (tmp_path / "seen").read_text().split()
    assert "PATH" in seen
    assert {*SECRETS} & {*seen} == set()


def test_an_engine_on_this_machine_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.chdir(tmp_path)
    with Process.start(Program("engine", (sys.executable, "-c", SHOWN), {"ITS_OWN": "1"}), tmp_path / "log") as engine:
        assert wait_until(lambda: not engine.alive, 60)
    seen = (tmp_path / "seen").read_text().split()
    assert "ITS_OWN" in seen
    assert {*SECRETS} & {*seen} == set()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote(tmp_path_factory.mktemp("house"), plant_house)


@pytest.fixture
def server(house: Remote, tmp_path: Path) -> Iterator[GitServer]:
    with serving(Remote.copied(house, tmp_path).path) as server:
        server.pusher = "nexus:push-secret"
        yield server


def propose(connections: Connections, step: str) -> None:
    record = make_record(MODEL, 1)
    release = release_id(record.content)
    commits = admission("local", MODEL, release, record_text(record).encode())
    repository = Tools(connections).limited(NODES[step].step.effects).repository
    land_or_leave(repository, "local", admission_branch("local", MODEL, release), commits)


@pytest.mark.services
def test_the_pushing_credential_is_used_for_the_push_alone(server: GitServer, tmp_path: Path) -> None:
    pushing = server.url.replace("http://", "http://nexus:push-secret@")
    propose(Connections(work=tmp_path.as_uri(), registry="", remote=server.url, push=pushing), "propose")
    log = subprocess.run(
        ["git", "log", "--format=%s", "main"], cwd=server.repository, check=True, capture_output=True, text=True
    )
    assert log.stdout.startswith("Admit release ")


@pytest.mark.services
def test_a_reading_credential_does_not_push(server: GitServer, tmp_path: Path) -> None:
    with pytest.raises(RemoteRefused, match="could not read Username"):
        propose(Connections(work=tmp_path.as_uri(), registry="", remote=server.url), "propose")


@pytest.mark.services
def test_a_step_that_may_only_read_does_not_push_whatever_it_is_given(server: GitServer, tmp_path: Path) -> None:
    pushing = server.url.replace("http://", "http://nexus:push-secret@")
    with pytest.raises(NexusError, match="declares no write to Git"):
        propose(Connections(work=tmp_path.as_uri(), registry="", remote=server.url, push=pushing), "render")


@pytest.mark.services
def test_a_wrong_pushing_credential_is_refused_and_told_to_nobody(server: GitServer, tmp_path: Path) -> None:
    pushing = server.url.replace("http://", "http://nexus:wrong-secret@")
    with pytest.raises(RemoteRefused) as refused:
        propose(Connections(work=tmp_path.as_uri(), registry="", remote=server.url, push=pushing), "propose")
    assert "secret" not in str(refused.value)


def test_a_remote_that_is_named_is_read_and_pushed_to_and_no_other(
    monkeypatch: pytest.MonkeyPatch, house: Remote, tmp_path: Path
) -> None:
    """`nexus promote --remote HERE` while the environment names another one to push to."""
    here, there = (Remote.copied(house, _folder(tmp_path / name)) for name in ("here", "there"))
    before = there.head
    monkeypatch.setenv("NEXUS_PUSH_REMOTE", str(there.path))
    record = make_record(MODEL, 1)
    release = release_id(record.content)
    commits = admission("local", MODEL, release, record_text(record).encode())
    land_or_leave(open_tools(str(here.path)).repository, "local", admission_branch("local", MODEL, release), commits)
    assert (there.head, here.head != before) == (before, True)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
