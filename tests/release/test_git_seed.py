"""How the laptop's remote is planted from a checkout, and brought up to date with it later."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.adapters.git_seed import Planted, plant
from nexus_release.errors import BadInput, Conflict, NexusError
from nexus_release.ports import Commit
from nexus_release.wiring import Connections, plant_remote

from ..support.releases import make_pointer, make_record
from ..support.remotes import Remote, git, plant_house

PLAN = "environments/local/models/m.yaml"
RECORD = f"gitops/releases/m/{'ab' * 32}.json"
TREE = "gitops/local/m/rendered.yaml"


class Checkout:
    """A person's checkout, and the remote that is planted from it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.remote = folder / "checkout", folder / "state" / "remote.git"
        self.path.mkdir()
        git(self.path, "init", "--quiet", "--initial-branch=topic")
        self.commit({"code.py": "one\n", "old.py": "old\n", "renderer": "first\n", PLAN: "nothing\n"})

    def commit(self, files: dict[str, str | None]) -> str:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        git(self.path, "add", "--all")
        git(self.path, "commit", "--quiet", "-m", "A person's change")
        return self.head

    @property
    def head(self) -> str:
        return git(self.path, "rev-parse", "HEAD")

    def plant(self) -> Planted:
        return plant(str(self.remote), self.path, rendered)

    def machine(self, files: dict[str, str]) -> None:
        """Commits to the remote's main, as releases do."""
        clone = self.remote.with_name("machine")
        git(self.remote, "clone", "--quiet", str(self.remote), str(clone))
        for name, text in files.items():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_text(text)
        rendered(clone)
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "-m", "A release")
        git(clone, "push", "--quiet", "origin", "HEAD:main")
        shutil.rmtree(clone)

    def main(self, path: str) -> str | None:
        done = subprocess.run(["git", "show", f"main:{path}"], cwd=self.remote, capture_output=True, text=True)
        return None if done.returncode else done.stdout

    def log(self) -> list[str]:
        return git(self.remote, "log", "--first-parent", "--format=%s", "main").splitlines()


def rendered(clone: Path) -> None:
    """Stands for the renderer: a tree that follows from code and plan."""
    (clone / TREE).parent.mkdir(parents=True, exist_ok=True)
    (clone / TREE).write_text((clone / "renderer").read_text() + (clone / PLAN).read_text())


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file, Git's own too: when it was written, and what it holds."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_first_the_checkout_s_commit_is_pushed_and_what_it_gives_is_rendered(checkout: Checkout) -> None:
    planted = checkout.plant()
    assert (planted.what, planted.dirty) == ("pushed", False)
    assert checkout.main(TREE) == "first\nnothing\n"
    assert checkout.log() == ["Render what the code gives", "A person's change"]
    assert planted.commit == git(checkout.remote, "rev-parse", "main")
    assert git(checkout.remote, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_checkout_that_is_rendered_is_pushed_as_it_is(checkout: Checkout) -> None:
    head = checkout.commit({TREE: "first\nnothing\n"})
    assert checkout.plant() == Planted(head, "pushed", dirty=False)


def test_again_without_news_nothing_changes(checkout: Checkout) -> None:
    first = checkout.plant()
    assert checkout.plant() == Planted(first.commit, "unchanged", dirty=False)
    checkout.machine({PLAN: "a release\n"})
    main = git(checkout.remote, "rev-parse", "main")
    assert checkout.plant() == Planted(main, "unchanged", dirty=False)


def test_news_of_a_checkout_alone_is_main_s_next_commit(checkout: Checkout) -> None:
    checkout.commit({TREE: "first\nnothing\n"})
    checkout.plant()
    head = checkout.commit({"code.py": "two\n"})
    assert checkout.plant() == Planted(head, "merged", dirty=False)


def test_news_of_both_sides_are_merged_and_rendered_anew(checkout: Checkout) -> None:
    checkout.plant()
    checkout.machine({PLAN: "a release\n", RECORD: "{}\n"})
    checkout.commit({"code.py": "two\n", "renderer": "second\n", "old.py": None})
    assert checkout.plant().what == "merged"
    assert (checkout.main("code.py"), checkout.main("old.py")) == ("two\n", None)
    assert (checkout.main(PLAN), checkout.main(RECORD)) == ("a release\n", "{}\n")
    assert checkout.main(TREE) == "second\na release\n"
    assert checkout.log()[:2] == ["Render what the code gives", "Merge the checkout"]


def test_in_a_conflict_machine_owned_paths_are_the_remote_s_and_all_else_the_checkout_s(checkout: Checkout) -> None:
    checkout.plant()
    checkout.machine({PLAN: "a release\n", "code.py": "pushed past the checkout\n", "old.py": "changed\n"})
    checkout.commit({PLAN: "by hand\n", "code.py": "two\n", "old.py": None})
    checkout.plant()
    assert checkout.main(PLAN) == "a release\n"
    assert (checkout.main("code.py"), checkout.main("old.py")) == ("two\n", None)
    assert checkout.main(TREE) == "first\na release\n"


def test_a_person_s_plan_that_nobody_contradicts_is_taken(checkout: Checkout) -> None:
    checkout.plant()
    checkout.machine({RECORD: "{}\n"})
    checkout.commit({PLAN: "by hand\n"})
    checkout.plant()
    assert checkout.main(PLAN) == "by hand\n"


def test_a_checkout_of_depth_one_is_planted_and_merged(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit({"code.py": "two\n"})
    full, checkout.path = checkout.path, tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", full.as_uri(), str(checkout.path))
    checkout.plant()
    checkout.machine({PLAN: "a release\n"})
    checkout.commit({"code.py": "three\n"})
    assert checkout.plant().what == "merged"
    assert (checkout.main("code.py"), checkout.main(PLAN)) == ("three\n", "a release\n")


def test_a_remote_planted_from_depth_one_takes_proposals_and_tells_its_history(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit({"code.py": "two\n"})
    full, checkout.path = checkout.path, tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", full.as_uri(), str(checkout.path))
    planted = checkout.plant().commit
    repository = GitRepository(str(checkout.remote))

    def edit(clone: Path) -> list[str]:
        (clone / "new").write_text("new\n")
        return ["new"]

    done = repository.propose(
        "branch", [Commit("New", {}, edit)], check=lambda before, after: None, lands=lambda main: True
    )
    assert (done.landed, done.commits) == (True, (repository.head(),))
    assert git(checkout.remote, "branch", "--list").split() == ["*", "main"], "a branch that landed is removed"
    with repository.history() as history:
        assert [one.hash for one in history.commits()][:2] == [done.commits[0], planted]
    into = tmp_path / "into"
    into.mkdir()
    assert repository.checkout(into, planted) == planted
    assert not (into / "new").exists()


def test_a_checkout_cloned_anew_with_depth_one_brings_its_files_and_keeps_the_releases(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.plant()
    checkout.machine({PLAN: "a release\n", RECORD: "{}\n"})
    checkout.commit({"code.py": "two\n", "old.py": None, "renderer": "second\n"})
    full, checkout.path = checkout.path, tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", full.as_uri(), str(checkout.path))
    assert checkout.plant().what == "merged"
    assert (checkout.main("code.py"), checkout.main("old.py")) == ("two\n", None)
    assert (checkout.main(PLAN), checkout.main(RECORD)) == ("a release\n", "{}\n")
    assert checkout.main(TREE) == "second\na release\n"
    assert checkout.plant().what == "unchanged"


def test_a_detached_head_is_a_commit_like_any_other(checkout: Checkout) -> None:
    git(checkout.path, "checkout", "--quiet", "--detach")
    checkout.plant()
    checkout.commit({"code.py": "two\n"})
    checkout.plant()
    assert checkout.main("code.py") == "two\n"


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_a_dirty_tree_is_welcome_and_said_and_stays_out(checkout: Checkout, name: str) -> None:
    (checkout.path / name).write_text("half done\n")
    assert checkout.plant().dirty
    assert checkout.main(name) != "half done\n"


def test_nothing_is_written_to_the_checkout(checkout: Checkout) -> None:
    (checkout.path / "code.py").touch()  # a `git status` that may would refresh the index
    (checkout.path / "new.py").write_text("half done\n")
    hook = checkout.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch pushed\n")
    hook.chmod(0o755)
    before = listing(checkout.path)
    checkout.plant()
    checkout.machine({PLAN: "a release\n"})
    checkout.plant()
    assert listing(checkout.path) == before


def test_what_a_user_ignores_everywhere_is_committed_all_the_same(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "ignore").write_text("*.yaml\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    checkout.plant()
    assert checkout.main(TREE) == "first\nnothing\n"


def test_a_main_that_moves_meanwhile_is_merged_again(checkout: Checkout) -> None:
    checkout.plant()
    checkout.machine({RECORD: "{}\n"})
    checkout.commit({"code.py": "two\n"})
    once = iter([lambda: checkout.machine({PLAN: "a release\n"})])

    def render(clone: Path) -> None:
        next(once, lambda: None)()
        rendered(clone)

    plant(str(checkout.remote), checkout.path, render)
    assert (checkout.main("code.py"), checkout.main(PLAN)) == ("two\n", "a release\n")


def test_a_main_that_always_moves_is_a_conflict(checkout: Checkout) -> None:
    checkout.plant()
    checkout.commit({"code.py": "two\n"})
    count = iter(range(100))

    def render(clone: Path) -> None:
        checkout.machine({PLAN: f"{next(count)}\n"})
        rendered(clone)

    with pytest.raises(Conflict, match="run it again"):
        plant(str(checkout.remote), checkout.path, render)
    assert checkout.main("code.py") == "one\n"


def test_code_that_does_not_render_changes_nothing(checkout: Checkout) -> None:
    before = checkout.plant().commit
    checkout.commit({"code.py": "broken\n"})

    def fail(_: Path) -> None:
        raise NexusError("the renderer is broken")

    with pytest.raises(NexusError, match="the renderer is broken"):
        plant(str(checkout.remote), checkout.path, fail)
    assert git(checkout.remote, "rev-parse", "main") == before


def bare_folder(folder: Path) -> None:
    folder.mkdir()


def folder_inside_a_repository(folder: Path) -> None:
    git(folder.parent, "init", "--quiet")
    folder.mkdir()
    (folder / "file").touch()
    git(folder.parent, "add", "--all")
    git(folder.parent, "commit", "--quiet", "-m", "Everything at home")


def repository_without_a_commit(folder: Path) -> None:
    folder.mkdir()
    git(folder, "init", "--quiet")


@pytest.mark.parametrize("make", [bare_folder, folder_inside_a_repository, repository_without_a_commit])
def test_a_tree_that_is_no_repository_is_refused_with_the_mend(tmp_path: Path, make: Callable[[Path], None]) -> None:
    tree, remote = tmp_path / "tree", tmp_path / "remote.git"
    make(tree)
    with pytest.raises(BadInput, match="git init && git add -A && git commit"):
        plant(str(remote), tree, rendered)
    assert not remote.exists()


def test_something_else_in_the_remote_s_place_is_left_alone(checkout: Checkout) -> None:
    checkout.remote.mkdir(parents=True)
    (checkout.remote / "holiday.jpg").touch()
    with pytest.raises(BadInput, match="NEXUS_REMOTE"):
        checkout.plant()
    assert [path.name for path in checkout.remote.iterdir()] == ["holiday.jpg"]


def test_a_remote_on_another_machine_is_not_planted(checkout: Checkout) -> None:
    with pytest.raises(BadInput, match="a folder on this machine"):
        plant("https://example.org/remote.git", checkout.path, rendered)


def test_the_real_renderer_runs_from_the_checkout_s_commit(tmp_path: Path) -> None:
    """A house whose checkout has a plan that it did not render."""
    house = Remote(tmp_path, plant_house)
    house.record(make_record("pydoc-chat", 1))
    pointer = make_pointer(make_record("pydoc-chat", 1))
    plan = f"model: pydoc-chat\nstable:\n  release: {pointer.release}\n  record: {pointer.record}\n"
    house.commit({"environments/local/models/pydoc-chat.yaml": plan})
    remote = tmp_path / "planted" / "remote.git"
    plant_remote(Connections(work=tmp_path.as_uri(), registry="", remote=str(remote)), house.clone)
    listed = git(remote, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert "gitops/local/gateway/routes.d/pydoc-chat.yaml" in listed
    assert not [name for name in listed if "__pycache__" in name]
