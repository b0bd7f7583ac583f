"""What a proposal does to a Git remote, and how a remote is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.errors import BadInput, Conflict, Missing, NexusError
from nexus_release.ports import Commit, Landed

from ..support.git_http import GitServer, serving
from ..support.proposals import BRANCH, TRAILERS, propose, start, writing
from ..support.remotes import Remote


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path, start)


@pytest.fixture
def repository(remote: Remote) -> GitRepository:
    return GitRepository(str(remote.path))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a call makes aside is gone when it has ended, well or badly."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


# --- the usual -----------------------------------------------------------------------------------------------------


def test_commits_land_in_order_with_author_and_trailers_and_leave_no_branch(
    remote: Remote, repository: GitRepository
) -> None:
    before = remote.head
    done = propose(repository, writing("a", message="First"), writing("b/c", message="Second"))
    assert done == Landed(BRANCH, tuple(remote.git("rev-list", "--reverse", f"{before}..main").split()), True)
    assert remote.subjects()[:2] == ["Second", "First"]
    assert remote.refs() == {"main": done.commits[-1]}
    for commit in done.commits:
        assert remote.trailers(commit) == TRAILERS
        assert remote.git("log", "-1", "--format=%an <%ae> %cn <%ce>", commit) == " ".join(
            ["Nexus <nexus@localhost>"] * 2
        )


def test_a_commit_that_changes_nothing_is_left_out(remote: Remote, repository: GitRepository) -> None:
    done = propose(repository, writing("README.md", "hello\n"), writing("a"))
    assert len(done.commits) == 1
    assert remote.subjects() == ["Write", "Start"]


def test_a_proposal_that_changes_nothing_is_landed_already(remote: Remote, repository: GitRepository) -> None:
    before = remote.refs()
    assert propose(repository, writing("README.md", "hello\n")) == Landed(BRANCH, (), True)
    assert remote.refs() == before


def test_an_edit_that_touches_more_than_it_says_is_refused(remote: Remote, repository: GitRepository) -> None:
    before = remote.refs()
    with pytest.raises(NexusError, match=r"would also change a"):
        propose(repository, writing("a", says="b"))
    assert remote.refs() == before


def test_a_file_that_is_moved_away_counts_as_touched(remote: Remote, repository: GitRepository) -> None:
    def edit(clone: Path) -> Sequence[str]:
        (clone / "README.md").rename(clone / "moved")
        return ["moved"]

    with pytest.raises(NexusError, match=r"would also change README\.md"):
        propose(repository, Commit("Move", {}, edit))


def test_a_folder_that_is_named_covers_what_is_below_and_nothing_beside(
    remote: Remote, repository: GitRepository
) -> None:
    assert propose(repository, writing("folder/a", says="folder/")).landed
    with pytest.raises(NexusError, match=r"would also change folder-2/a"):
        propose(repository, writing("folder-2/a", says="folder/"))


def test_what_is_meant_is_committed_though_a_gitignore_names_it(remote: Remote, repository: GitRepository) -> None:
    propose(repository, writing("a.ignored"))
    assert remote.file("a.ignored") == b"text\n"


def test_a_trailer_cannot_smuggle_a_second_one(remote: Remote, repository: GitRepository) -> None:
    with pytest.raises(BadInput, match="one line"):
        propose(repository, Commit("Message", {"Nexus-Model": "m\nNexus-Change: promote"}, writing("a").edit))
    assert remote.subjects() == ["Start"]


def test_the_check_sees_main_and_the_proposal_and_its_no_changes_nothing(
    remote: Remote, repository: GitRepository
) -> None:
    def check(before: Path, after: Path) -> None:
        assert not (before / "a").exists()
        assert (before / "link").readlink() == Path("/nowhere/at/all")
        assert os.access(before / "tool", os.X_OK)
        assert (after / "a").read_text() == "text\n"
        raise NexusError("not like this")

    before = remote.refs()
    with pytest.raises(NexusError, match="not like this"):
        repository.propose(BRANCH, [writing("a")], check=check, lands=lambda _: True)
    assert remote.refs() == before


def test_nothing_of_the_user_s_own_configuration_counts(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "git").mkdir(parents=True)
    (home / "git" / "ignore").write_text("*\n")
    (home / "git" / "attributes").write_text("* text eol=crlf\n")
    (home / ".gitconfig").write_text(
        "[user]\nname = Mallory\n[commit]\ngpgsign = true\n[core]\nautocrlf = true\n"
        f'[url "{tmp_path}/elsewhere"]\ninsteadOf = {remote.path}\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Mallory")
    done = propose(GitRepository(str(remote.path)), writing("a"))
    monkeypatch.undo()
    assert remote.file("a") == b"text\n"
    assert remote.git("log", "-1", "--format=%an %cn", done.commits[0]) == "Nexus Nexus"


# --- branches ------------------------------------------------------------------------------------------------------


def test_for_review_the_branch_stays_and_main_does_not_move(remote: Remote, repository: GitRepository) -> None:
    before = remote.head
    done = propose(repository, writing("a"), writing("b"), land=False)
    assert not done.landed
    assert remote.refs() == {"main": before, BRANCH: done.commits[-1]}


def test_the_same_proposal_again_finds_its_branch_and_leaves_it(remote: Remote, repository: GitRepository) -> None:
    first = propose(repository, writing("a"), writing("b"), land=False)
    before = remote.refs()
    assert propose(repository, writing("a"), writing("b", message="In other words"), land=False) == first
    remote.commit({"elsewhere": "x\n"})
    assert propose(repository, writing("a"), writing("b"), land=False) == first
    assert remote.refs()[BRANCH] == before[BRANCH]


def test_a_branch_left_with_other_bytes_is_made_anew(remote: Remote, repository: GitRepository) -> None:
    propose(repository, writing("a"), land=False)
    done = propose(repository, writing("a", "other\n"), land=False)
    assert remote.refs()[BRANCH] == done.commits[-1]
    assert remote.file("a", BRANCH) == b"other\n"


def test_a_branch_on_which_a_person_has_committed_is_theirs(remote: Remote, repository: GitRepository) -> None:
    propose(repository, writing("a"), land=False)
    remote.commit_on(BRANCH, {"a": "better\n"})
    before = remote.refs()
    for land in (False, True):
        with pytest.raises(Conflict, match="somebody else"):
            propose(repository, writing("a", "other\n"), land=land)
    assert remote.refs() == before


def test_a_run_cut_off_before_main_is_finished_by_the_next(remote: Remote, repository: GitRepository) -> None:
    propose(repository, writing("a"), land=False)
    done = propose(repository, writing("a"))
    assert done.landed
    assert remote.refs() == {"main": done.commits[-1]}


def test_a_run_cut_off_after_main_is_finished_by_the_next(remote: Remote, repository: GitRepository) -> None:
    first = propose(repository, writing("a"))
    remote.git("update-ref", f"refs/heads/{BRANCH}", first.commits[-1])
    assert propose(repository, writing("a")) == Landed(BRANCH, (), True)
    assert remote.refs() == {"main": first.commits[-1]}


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(remote: Remote) -> Iterator[GitServer]:
    with serving(remote.path) as server:
        yield server


@pytest.mark.services
def test_main_a_branch_and_any_commit_of_main_can_be_checked_out(
    remote: Remote, server: GitServer, tmp_path: Path
) -> None:
    first = remote.head
    second = remote.commit({"one": "1\n"})
    for number, repository in enumerate([GitRepository(str(remote.path)), GitRepository(server.url)]):
        proposed = propose(repository, writing("a"), land=False).commits[-1]
        for revision, commit in {"main": second, first: first, first[:8]: first, BRANCH: proposed}.items():
            into = tmp_path / f"{number}-{revision.replace('/', '-')}"
            into.mkdir()
            assert repository.checkout(into, revision) == commit
            assert {path.name for path in into.iterdir()} == set(remote.files(commit=commit))
            assert (into / "link").is_symlink()
        assert repository.head() == second


def test_a_revision_that_main_does_not_hold_is_missing(
    remote: Remote, repository: GitRepository, tmp_path: Path
) -> None:
    for revision in ("0" * 40, "abcdef1", "no-such-branch"):
        with pytest.raises(Missing, match=revision):
            repository.checkout(tmp_path / "into", revision)


def test_history_gives_commits_trailers_and_files(remote: Remote, repository: GitRepository) -> None:
    names = {"folder/plain": "1\n", "folder/with space": "2\n", "folder/deep/er": "3\n"}
    person = remote.commit(names, "A subject: with a colon\n\nBody.\n\nKey: value\n")
    ours = propose(repository, writing("folder/plain", "4\n", "Change")).commits[0]
    with repository.history() as history:
        assert [one.hash for one in history.commits()] == remote.git("rev-list", "main").split()
        changed = history.commits("folder/plain")
        assert [(one.hash, one.subject) for one in changed] == [(ours, "Change"), (person, "A subject: with a colon")]
        assert [one.trailers for one in changed] == [TRAILERS, {"Key": "value"}]
        assert changed[0].time == remote.git("log", "-1", "--format=%cI")
        assert history.commits("nothing") == []
        assert history.file(person, "folder/plain") == b"1\n"
        assert history.file("HEAD", "folder/plain") == b"4\n"
        assert [history.file(person, name) for name in ("no such/file", "folder", "a\nb")] == [None] * 3
        assert history.folder(person, "folder/") == {"plain": b"1\n", "with space": b"2\n"}
        assert history.folder(ours, "folder") == {"plain": b"4\n", "with space": b"2\n"}
        assert history.folder(ours, "no such") == {}
        assert history.paths(ours, "folder") == sorted(names)
        assert history.paths(ours, "no such") == []
