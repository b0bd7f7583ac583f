"""Pull requests on GitHub, GitLab and Gitea, by their real client libraries against a forge on this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from nexus_release.adapters import forge_calls
from nexus_release.adapters.forges import ForgeKind, forge_place, open_forge
from nexus_release.errors import BadInput, Missing, NexusError, RemoteRefused, Unreachable
from nexus_release.ports import Forge

from ..support.forge_server import HEAD, TOKEN, Fault, ForgeServer, forge

BRANCH = "admit/staging/pydoc-chat/0123456789ab"
KINDS: tuple[ForgeKind, ...] = ("github", "gitlab", "gitea")


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeServer]:
    monkeypatch.setattr(forge_calls, "PAUSE", 0.01)
    with forge(request.param) as started:
        yield started


def client(server: ForgeServer, *, repository: str = "acme/models", token: str = TOKEN, url: str = "") -> Forge:
    found = open_forge(f"https://forge.example/{repository}.git", server.kind, url or server.url, token)
    assert found is not None
    return found


def test_a_branch_gets_one_pull_request_whose_text_follows_it(server: ForgeServer) -> None:
    api = client(server)
    first = api.propose(BRANCH, "Admit it", "the evidence")
    assert (first.what, first.url) == ("opened", "https://forge.example/pulls/1")
    assert api.propose(BRANCH, "Admit it", "the evidence").what == "unchanged"
    again = api.propose(BRANCH, "Admit it", "other evidence")
    assert (again.what, again.number) == ("updated", first.number)
    assert [(one["title"], one["body"]) for one in server.pulls] == [("Admit it", "other evidence")]
    assert api.propose("promote/staging/other/ab", "Another", "text").number == 2


def test_a_pull_request_that_somebody_opens_meanwhile_is_found_and_updated(server: ForgeServer) -> None:
    server.open(BRANCH, "By hand", "nothing")
    server.late = True
    assert client(server).propose(BRANCH, "Admit it", "the evidence").what == "updated"
    assert [one["title"] for one in server.pulls] == ["Admit it"]


def test_a_closed_pull_request_is_not_taken_up_again(server: ForgeServer) -> None:
    server.open(BRANCH, "Refused", "by people")["state"] = "closed"
    assert client(server).propose(BRANCH, "Admit it", "the evidence").what == "opened"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_what_may_pass_is_tried_again_within_bounds(server: ForgeServer, status: int) -> None:
    server.faults = [Fault(status, {"Retry-After": "3600"})] * 2
    assert client(server).propose(BRANCH, "Admit it", "the evidence").what == "opened"
    server.faults = [Fault(status, {"Retry-After": "3600"})] * forge_calls.TRIES
    with pytest.raises(Unreachable, match=str(status)):
        client(server).propose(BRANCH, "Admit it", "the evidence")
    assert server.faults == []


def test_an_answer_lost_after_the_request_was_opened_opens_no_second_one(server: ForgeServer) -> None:
    server.open(BRANCH, "Admit it", "the evidence")  # what the lost POST has done
    server.late, server.faults = True, [Fault(502, method="POST")]
    assert client(server).propose(BRANCH, "Admit it", "the evidence").what == "unchanged"
    assert len(server.pulls) == 1


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_no_is_final_and_says_what_the_forge_said(server: ForgeServer, status: int) -> None:
    server.faults = [Fault(status, body={"message": "the branch has no history in common"}, method="POST")]
    with pytest.raises(RemoteRefused, match="no history in common"):
        client(server).propose(BRANCH, "Admit it", "the evidence")
    assert len([one for one in server.asked if one.startswith("POST")]) == 1


def test_a_token_that_is_not_taken_is_said_and_never_shown(server: ForgeServer) -> None:
    with pytest.raises(RemoteRefused, match="NEXUS_FORGE_TOKEN") as refused:
        client(server, token="wrong-secret-xyz").propose(BRANCH, "Admit it", "the evidence")
    assert "wrong-secret-xyz" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_repository_that_the_token_does_not_see_is_missing(server: ForgeServer) -> None:
    with pytest.raises(Missing, match="no such repository"):
        client(server, repository="acme/other").propose(BRANCH, "Admit it", "the evidence")


def test_a_forge_that_does_not_answer_is_unreachable(server: ForgeServer) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(Unreachable, match="no answer"):
            client(server, url=f"http://127.0.0.1:{port}").propose(BRANCH, "Admit it", "the evidence")


def test_only_agreement_of_others_to_the_branch_as_it_is_counts(server: ForgeServer) -> None:
    api = client(server)
    assert api.approvals(BRANCH, HEAD) is None
    api.propose(BRANCH, "Admit it", "the evidence")
    assert api.approvals(BRANCH, HEAD) == frozenset()
    server.reviews = [("ann", "APPROVED", True), ("bot", "APPROVED", True), ("cy", "REQUEST_CHANGES", True)]
    assert api.approvals(BRANCH, HEAD) == {"ann"}
    if server.kind != "gitlab":  # which takes them back by itself
        server.reviews = [("ann", "APPROVED", False), ("bo", "APPROVED", True), ("bo", "CHANGES_REQUESTED", True)]
        server.reviews += [("bo", "REQUEST_CHANGES", True)]
        assert api.approvals(BRANCH, HEAD) == frozenset()


@pytest.mark.parametrize("server", ["github", "gitea"], indirect=True)
def test_who_may_only_read_has_no_say(server: ForgeServer) -> None:
    """On a public repository that is anybody. GitLab lists nobody as an approver who may not approve."""
    api = client(server)
    api.propose(BRANCH, "Admit it", "the evidence")
    server.reviews = [("ann", "APPROVED", True), ("eve", "APPROVED", True)]
    server.readers = {"eve"}
    assert api.approvals(BRANCH, HEAD) == {"ann"}


@pytest.mark.parametrize("server", ["github"], indirect=True)
def test_who_is_no_collaborator_has_no_say_and_takes_nobody_elses(server: ForgeServer) -> None:
    api = client(server)
    api.propose(BRANCH, "Admit it", "the evidence")
    server.reviews = [("ann", "APPROVED", True), ("review-bot[bot]", "APPROVED", True), ("", "APPROVED", True)]
    server.strangers = {"review-bot[bot]"}
    assert api.approvals(BRANCH, HEAD) == {"ann"}


def test_the_last_of_very_many_reviews_counts(server: ForgeServer) -> None:
    api = client(server)
    api.propose(BRANCH, "Admit it", "the evidence")
    server.reviews = [(f"p{number}", "APPROVED", True) for number in range(120)]
    assert len(api.approvals(BRANCH, HEAD) or ()) == 120
    if server.kind == "gitea":
        server.most = 30
        assert len(api.approvals(BRANCH, HEAD) or ()) == 120


def test_who_agreed_to_a_branch_has_not_agreed_to_another_commit(server: ForgeServer) -> None:
    """A branch is a name, and somebody's copy of the repository may have one of the same."""
    api = client(server)
    api.propose(BRANCH, "Admit it", "the evidence")
    server.reviews = [("ann", "APPROVED", True)]
    assert api.approvals(BRANCH, "ef" * 20) is None


@pytest.mark.parametrize("server", ["gitlab", "gitea"], indirect=True)
def test_a_pull_request_from_somebody_s_copy_is_not_taken_for_the_branch_s_own(server: ForgeServer) -> None:
    """GitHub is asked for the owner's branch; the others list every branch of that name."""
    foreign = server.open(BRANCH, "By a stranger", "trust me", repository=2)
    api = client(server)
    assert api.approvals(BRANCH, HEAD) is None
    assert api.propose(BRANCH, "Admit it", "the evidence").what == "opened"
    assert foreign["title"] == "By a stranger"


def test_github_s_rate_limit_is_told_from_a_missing_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forge_calls, "PAUSE", 0.01)
    with forge("github") as server:
        server.faults = [Fault(403, {"X-RateLimit-Remaining": "0"})] * forge_calls.TRIES
        with pytest.raises(Unreachable):
            client(server).propose(BRANCH, "Admit it", "the evidence")


@pytest.mark.parametrize(
    ("remote", "chosen", "told"),
    [
        ("https://github.com/acme/models.git", "", ("github", "https://api.github.com", "acme/models")),
        ("git@github.com:acme/models.git", "", ("github", "https://api.github.com", "acme/models")),
        ("https://bot:secret@gitlab.com/acme/ml/models.git", "", ("gitlab", "https://gitlab.com", "acme/ml/models")),
        ("ssh://git@gitlab.acme.example:2222/ml/models", "", ("gitlab", "https://gitlab.acme.example", "ml/models")),
        ("https://codeberg.org/acme/models", "", ("gitea", "https://codeberg.org", "acme/models")),
        ("https://gitea.acme.example:3000/ml/m", "", ("gitea", "https://gitea.acme.example:3000", "ml/m")),
        ("https://git.acme.example/ml/models.git", "gitea", ("gitea", "https://git.acme.example", "ml/models")),
        (
            "https://git.acme.example/ml/models.git",
            "github",
            ("github", "https://git.acme.example/api/v3", "ml/models"),
        ),
    ],
)
def test_the_forge_is_known_by_the_remote_or_by_its_name(remote: str, chosen: str, told: tuple[str, str, str]) -> None:
    place = forge_place(remote, chosen, "")
    assert place is not None
    assert (place.kind, place.url, place.repository) == told


@pytest.mark.parametrize(
    ("remote", "chosen"),
    [
        ("/srv/remote.git", ""),
        ("https://git.acme.example/ml/models.git", ""),
        ("https://github.com/acme/models.git", "none"),
        ("https://github.evil.example.io/acme", "none"),
    ],
)
def test_a_plain_remote_has_no_forge(remote: str, chosen: str) -> None:
    assert forge_place(remote, chosen, "") is None
    assert open_forge(remote, chosen, "", TOKEN) is None


def test_bad_settings_of_a_forge_are_refused_with_their_mend() -> None:
    with pytest.raises(BadInput, match="NEXUS_FORGE: 'bitbucket'"):
        forge_place("https://x.example/a/b", "bitbucket", "")
    with pytest.raises(BadInput, match="owner/name"):
        forge_place("https://github.com/acme", "", "")
    with pytest.raises(BadInput, match="NEXUS_FORGE_TOKEN"):
        open_forge("https://x.example/a/b", "gitea", "", "")
    assert issubclass(BadInput, NexusError)
    assert open_forge("https://github.com/acme/models", "", "", "") is None, "without a token the branch is left"
