"""The hook on the Git server: a bot moves canaries, and whatever else it pushes does not get in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.plan import shifted
from nexus_release.plan_changes import canary, make

from ..support.canary_traffic import SAME, Behaviour
from ..support.canary_walk import ENTERED, MODEL, TWO, Walk, plant_canary, starting
from ..support.git_http import GitServer, serving
from ..support.releases import plant_plan
from ..support.remotes import Remote, git
from ..support.repository import ROOT

BOT = "canary-bot"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return plant_canary(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def way(planted: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Walk, GitServer]]:
    """A walk whose bot pushes over HTTP by a password of its own, and the server."""
    walk = starting(planted, tmp_path, monkeypatch)(SAME)
    walk.remote.pull()
    with serving(walk.remote.path) as server:
        shutil.copy(ROOT / "ops/git-hooks/pre-receive", walk.remote.path / "hooks/pre-receive")
        walk.remote.git("config", "--add", "nexus.canaryBot", BOT)
        walk.remote.git("config", "nexus.python", sys.executable)
        server.pusher = f"{BOT}:secret"
        walk.repository = GitRepository(server.url, push=push_url(server))
        yield walk, server


def push_url(server: GitServer) -> str:
    return server.url.replace("http://", f"http://{server.pusher}@")


def pushed(walk: Walk, server: GitServer, ref: str = "main", *options: str) -> subprocess.CompletedProcess[str]:
    """What a stolen credential would try: the clone's HEAD, by plain git."""
    words = ["git", "push", *options, push_url(server), f"HEAD:refs/heads/{ref}"]
    return subprocess.run(words, cwd=walk.remote.clone, capture_output=True, text=True)


def commit(walk: Walk, message: str = "Only a step, I swear") -> None:
    git(walk.remote.clone, "add", "--all")
    git(walk.remote.clone, "commit", "--quiet", "--allow-empty", "-m", message)


def test_the_bot_s_steps_get_in_forward_and_back(way: tuple[Walk, GitServer]) -> None:
    walk, _ = way
    begun = walk.step()
    assert begun.landed is not None
    assert begun.landed.landed
    walk.figures.canary = Behaviour(errors=0.2)
    back = walk.step()
    assert back.evidence.decision.action == "revert"
    assert walk.remote.refs() == {"main": walk.remote.head}


def test_a_weight_without_evidence_is_refused(way: tuple[Walk, GitServer]) -> None:
    walk, server = way
    before = walk.remote.refs()
    plant_plan(walk.remote.clone, "local", shifted(ENTERED, TWO.release, 1))
    commit(walk)
    said = pushed(walk, server)
    assert said.returncode != 0
    assert "brings no evidence" in said.stderr
    assert walk.remote.refs() == before


@pytest.mark.parametrize("path", ["pipelines/nexus_release/cli.py", ".gitattributes", "environments/base.yaml"])
def test_a_true_step_with_something_beside_it_is_refused(way: tuple[Walk, GitServer], path: str) -> None:
    walk, server = way
    assert walk.step().landed is not None
    walk.remote.pull()
    git(walk.remote.clone, "reset", "--quiet", "--soft", "HEAD~1")
    walk.remote.git("update-ref", "refs/heads/main", "refs/heads/main~1")
    before = walk.remote.refs()
    (walk.remote.clone / path).write_text("* export-ignore\n")
    commit(walk)
    said = pushed(walk, server)
    assert said.returncode != 0
    assert path in said.stderr
    assert walk.remote.refs() == before


def test_other_branches_tags_rewritten_and_several_commits_are_refused(way: tuple[Walk, GitServer]) -> None:
    walk, server = way
    before = walk.remote.refs()
    commit(walk)
    for ref, says in (("feature", "is not its own"), ("canary-step/local/x/y", "brings no evidence")):
        assert says in pushed(walk, server, ref).stderr
    commit(walk)
    assert "not one commit on top" in pushed(walk, server).stderr
    git(walk.remote.clone, "reset", "--quiet", "--hard", "HEAD~3")
    assert "not one commit on top" in pushed(walk, server, "main", "--force").stderr
    removed = subprocess.run(
        ["git", "push", push_url(server), ":refs/heads/main"], cwd=walk.remote.clone, capture_output=True, text=True
    )
    assert removed.returncode != 0
    assert walk.remote.refs() == before


def test_somebody_else_s_push_is_not_the_hook_s_business(way: tuple[Walk, GitServer]) -> None:
    walk, server = way
    server.pusher = "kim:secret"
    person = GitRepository(server.url, push=push_url(server))
    assert make(person, "local", canary(walk.plan, MODEL, 7)).landed
    assert walk.plan.canary is not None
    assert walk.plan.canary.weight == 7
