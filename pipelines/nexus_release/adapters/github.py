"""GitHub's pull requests, and GitHub Enterprise Server's, by PyGithub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from nexus_release.adapters.forge_calls import TIMEOUT, Calls, put, refused, silent, within_bounds
from nexus_release.errors import Conflict, NexusError
from nexus_release.ports import Opened

if TYPE_CHECKING:
    from github.PullRequest import PullRequest

_NAME = "GitHub"
_MAY_WRITE = ("admin", "write")  # whose approval GitHub's own rules count; `maintain` is told as `write`
T = TypeVar("T")


class GitHub:
    """The port `Forge`. `api` is `https://api.github.com`, or an enterprise server's `https://<host>/api/v3`."""

    def __init__(self, api: str, repository: str, token: str) -> None:
        from github import Auth, Github

        self._owner = repository.split("/")[0]
        client = Github(
            auth=Auth.Token(token),
            base_url=api,
            timeout=int(TIMEOUT),
            retry=None,  # its own waits as long as GitHub asks, up to an hour
            seconds_between_requests=None,
            seconds_between_writes=None,  # there is one
            lazy=True,  # a repository is asked for nothing of its own
        )
        self._repository = client.get_repo(repository)

    def propose(self, branch: str, title: str, text: str) -> Opened:
        def create() -> PullRequest:
            return self._repository.create_pull("main", branch, title=title, body=text)

        return put(
            Calls(
                find=lambda: _ask(lambda: self._open(branch)),
                open=lambda: _ask(create),
                same=lambda pull: (pull.title, pull.body) == (title, text),
                update=lambda pull: _ask(lambda: pull.edit(title=title, body=text)),
                told=lambda pull: (pull.number, pull.html_url),
            )
        )

    def approvals(self, branch: str, commit: str) -> frozenset[str] | None:
        def ask() -> frozenset[str] | None:
            pull = self._open(branch)
            if pull is None or pull.head.sha != commit:
                return None
            judged = (review for review in pull.get_reviews() if review.state != "COMMENTED")
            latest = {getattr(review.user, "login", ""): review for review in judged}  # who is gone has no name
            agreed = (who for who, review in latest.items() if who and review.state == "APPROVED")
            now = (who for who in agreed if latest[who].commit_id == commit and who != pull.user.login)
            return frozenset(who for who in now if self._may_write(who))

        return _ask(ask)

    def _may_write(self, who: str) -> bool:
        from github import GithubException

        try:
            return self._repository.get_collaborator_permission(who) in _MAY_WRITE
        except GithubException as error:
            if error.status != 404:
                raise
            return False  # a bot, or a name that is nobody's any more: no say, and others keep theirs

    def _open(self, branch: str) -> PullRequest | None:
        found = self._repository.get_pulls(state="open", head=f"{self._owner}:{branch}", base="main")
        return next(iter(found), None)


def _ask(ask: Callable[[], T]) -> T:
    from github import GithubException
    from requests import RequestException

    def why(error: Exception) -> NexusError:
        if not isinstance(error, GithubException):
            return silent(_NAME, error)
        said = str(error.data)
        if error.status == 422 and "already exists" in said:
            return Conflict(said)
        # https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        waits = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
        return refused(_NAME, error.status, said, waits=error.status == 403 and waits)

    return within_bounds(ask, (GithubException, RequestException), why)
