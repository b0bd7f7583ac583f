"""What a proposal makes of a Git remote that races, refuses, hangs or lies."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from nexus_release.adapters.git import TRIES, GitRepository
from nexus_release.errors import Conflict, Missing, NexusError, RemoteRefused, Unreachable
from nexus_release.ports import Landed

from ..support.gateway import until
from ..support.git_http import GitServer, serving
from ..support.proposals import BRANCH, meanwhile, propose, start, writing
from ..support.remotes import Remote, git


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


# --- races ---------------------------------------------------------------------------------------------------------


def test_two_proposals_at_once_both_land(remote: Remote, repository: GitRepository) -> None:
    both = threading.Barrier(2)
    tries: dict[str, int] = {"a": 0, "b": 0}

    def run(name: str) -> Landed:
        def wait() -> None:
            tries[name] += 1
            if tries[name] == 1:
                both.wait(30)

        return propose(repository, meanwhile(wait, writing(name, name)), branch=name)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, ("a", "b")))
    assert all(one.landed for one in done)
    assert sorted(tries.values()) == [1, 2]
    assert (remote.file("a"), remote.file("b")) == (b"a", b"b")
    assert list(remote.refs()) == ["main"]
    assert len(remote.subjects()) == 3


def test_the_same_proposal_at_once_is_one_commit(remote: Remote, repository: GitRepository) -> None:
    both = threading.Barrier(2)

    def run(_: int) -> Landed:
        waited: list[int] = []

        def wait() -> None:
            if not waited:
                waited.append(both.wait(30))

        return propose(repository, meanwhile(wait, writing("a")))

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, range(2)))
    assert all(one.landed for one in done)
    assert remote.subjects() == ["Write", "Start"]


def test_a_branch_that_goes_while_it_is_looked_at_is_none(
    remote: Remote, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run of the same proposal lands, and takes the branch away, once this one has seen it there."""
    propose(repository, writing("a"), land=False)
    look, others = repository._ref, iter([GitRepository(str(remote.path))])

    def seen(name: str) -> str | None:
        found = look(name)
        for other in others:
            assert propose(other, writing("a")).landed
        return found

    monkeypatch.setattr(repository, "_ref", seen)
    assert propose(repository, writing("a")).landed
    assert (remote.subjects(), list(remote.refs())) == (["Write", "Start"], ["main"])


def test_a_branch_that_was_in_the_way_and_is_gone_refuses_nothing(
    remote: Remote, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another proposal takes the name between this one's look and its push, and lands before it looks again."""
    other, look, turns = GitRepository(str(remote.path)), repository._ref, iter(("take it", "land"))

    def seen(name: str) -> str | None:
        turn = next(turns, "")
        if turn == "land":
            assert propose(other, writing("a", "other\n")).landed
        found = look(name)
        if turn == "take it":
            propose(other, writing("a", "other\n"), land=False)
        return found

    monkeypatch.setattr(repository, "_ref", seen)
    assert propose(repository, writing("a")).landed
    assert (remote.subjects(), list(remote.refs())) == (["Write", "Write", "Start"], ["main"])


def test_a_person_s_commit_in_between_stays_and_the_proposal_is_made_anew_on_it(
    remote: Remote, repository: GitRepository
) -> None:
    seen: list[bool] = []

    def check(before: Path, after: Path) -> None:
        seen.append((before / "person").exists())

    once = iter([lambda: remote.commit({"person": "was here\n"})])
    commit = meanwhile(lambda: next(once, lambda: None)(), writing("a"))
    done = repository.propose(BRANCH, [commit], check=check, lands=lambda _: True)
    assert seen == [False, True]
    assert remote.subjects() == ["Write", "A person's change", "Start"]
    assert remote.git("rev-list", "--parents", "-1", done.commits[0]).split()[1:] == [remote.git("rev-parse", "main~1")]


def test_a_main_that_always_moves_is_a_conflict_after_bounded_tries(remote: Remote, repository: GitRepository) -> None:
    moves = iter(range(100))
    commit = meanwhile(lambda: remote.commit({"person": f"{next(moves)}\n"}), writing("a"))
    with pytest.raises(Conflict, match=f"{TRIES} times"):
        propose(repository, commit)
    assert next(moves) == TRIES
    assert remote.subjects() == ["A person's change"] * TRIES + ["Start"]


# --- remotes that say no, or nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_hook_s_no_is_told_in_its_words_and_changes_nothing(
    remote: Remote, repository: GitRepository, hook: str
) -> None:
    before = remote.refs()
    remote.hook(hook, r"printf 'main is frozen \033[31mtoday\033[0m\n' >&2; exit 1")
    with pytest.raises(RemoteRefused, match=r"main is frozen .*today") as refused:
        propose(repository, writing("a"))
    assert str(refused.value).isprintable()
    assert remote.refs() == before


def test_a_no_to_main_alone_takes_the_branch_back(remote: Remote, repository: GitRepository) -> None:
    before = remote.refs()
    remote.hook("update", 'if [ "$1" = refs/heads/main ]; then echo "main wants a review" >&2; exit 1; fi')
    with pytest.raises(RemoteRefused, match="main wants a review"):
        propose(repository, writing("a"))
    assert remote.refs() == before


def test_a_remote_that_is_not_there_is_missing_and_says_how_to_get_one(tmp_path: Path) -> None:
    nowhere = GitRepository(str(tmp_path / "nowhere.git"))
    for ask in (nowhere.head, lambda: propose(nowhere, writing("a"))):
        with pytest.raises(Missing, match="make demo"):
            ask()


def test_a_remote_without_main_is_missing(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    empty = GitRepository(str(tmp_path / "empty.git"))
    for ask in (empty.head, lambda: propose(empty, writing("a"))):
        with pytest.raises(Missing, match="no branch main"):
            ask()


def test_a_remote_that_does_not_answer_is_unreachable_and_no_secret_is_told() -> None:
    away = GitRepository("http://user:hunter2@127.0.0.1:9/remote.git")
    for ask in (away.head, lambda: propose(away, writing("a"))):
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9/remote\.git") as error:
            ask()
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("remote_name", ["ext::sh -c touch% run", "--upload-pack=touch run"])
def test_a_remote_s_name_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote_name: str) -> None:
    monkeypatch.chdir(tmp_path)
    for ask in (GitRepository(remote_name).head, lambda: propose(GitRepository(remote_name), writing("a"))):
        with pytest.raises(NexusError):
            ask()
    assert not (tmp_path / "run").exists()


# --- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(remote: Remote) -> Iterator[GitServer]:
    with serving(remote.path) as server:
        yield server


@pytest.mark.services
def test_over_http_a_proposal_lands_on_a_history_that_is_not_fetched(remote: Remote, server: GitServer) -> None:
    remote.commit({"one": "1\n"})
    remote.commit({"two": "2\n"})
    depths: list[str] = []

    def check(before: Path, after: Path) -> None:
        depths.append(git(after, "rev-list", "--count", "HEAD"))

    done = GitRepository(server.url).propose(BRANCH, [writing("a")], check=check, lands=lambda _: True)
    assert depths == ["2"]
    assert remote.refs() == {"main": done.commits[-1]}
    assert len(remote.subjects()) == 4


@pytest.mark.services
def test_over_http_the_same_review_stands_and_another_replaces_it(remote: Remote, server: GitServer) -> None:
    repository = GitRepository(server.url)
    first = propose(repository, writing("a"), writing("b"), land=False)
    remote.commit({"one": "1\n"})
    assert propose(repository, writing("a"), writing("b"), land=False) == first
    done = propose(repository, writing("a", "other\n"), writing("b"))
    assert remote.refs() == {"main": done.commits[-1]}


@pytest.mark.services
def test_a_push_that_was_taken_before_the_connection_died_is_done(remote: Remote, server: GitServer) -> None:
    server.to_main = "accept and drop"
    done = propose(GitRepository(server.url), writing("a"))
    assert done.landed
    assert remote.refs() == {"main": done.commits[-1]}


@pytest.mark.services
def test_a_push_whose_connection_died_before_is_unreachable_and_done_by_the_next(
    remote: Remote, server: GitServer
) -> None:
    before = remote.head
    server.to_main = "drop"
    with pytest.raises(Unreachable):
        propose(GitRepository(server.url), writing("a"))
    assert remote.refs() == {"main": before}
    server.to_main = ""
    done = propose(GitRepository(server.url), writing("a"))
    assert remote.refs() == {"main": done.commits[-1]}


@pytest.mark.services
def test_a_remote_that_hangs_is_unreachable_and_what_was_started_has_ended(remote: Remote, server: GitServer) -> None:
    before = remote.head
    server.to_main = "hang"
    with pytest.raises(Unreachable, match="no answer within 2 s"):
        propose(GitRepository(server.url, seconds=2), writing("a"))
    assert remote.head == before
    # Those that git has started are killed with it, and are not its caller's to wait for.
    until(lambda: not [line for line in command_lines() if server.url in line], "all that was started has ended")


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.services
def test_a_remote_that_says_yes_and_does_nothing_is_found_out(remote: Remote, server: GitServer) -> None:
    before = remote.refs()
    server.to_main = "lie"
    with pytest.raises(RemoteRefused, match="did not move"):
        propose(GitRepository(server.url), writing("a"))
    assert remote.refs() == before


@pytest.mark.services
def test_a_credential_that_is_not_enough_is_a_refusal(remote: Remote, server: GitServer) -> None:
    before = remote.refs()
    server.to_main = "forbid"
    with pytest.raises(RemoteRefused, match="403"):
        propose(GitRepository(server.url), writing("a"))
    assert remote.refs() == before
