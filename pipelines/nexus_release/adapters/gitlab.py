"""GitLab's merge requests, by python-gitlab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from nexus_release.adapters.forge_calls import TIMEOUT, Calls, put, refused, silent, within_bounds
from nexus_release.errors import NexusError
from nexus_release.ports import Opened

_NAME = "GitLab"
_ONCE = {"obey_rate_limit": False}  # it would wait as long as GitLab asks, ten times
T = TypeVar("T")


class GitLab:
    """The port `Forge`. `url` is the server's, without `/api/v4`; `project` is `group/subgroup/name`."""

    def __init__(self, url: str, project: str, token: str) -> None:
        from gitlab import Gitlab

        client = Gitlab(url, private_token=token, timeout=TIMEOUT, keep_base_url=True)
        self._requests = client.projects.get(project, lazy=True).mergerequests

    def propose(self, branch: str, title: str, text: str) -> Opened:
        def create() -> Any:
            asked = {"source_branch": branch, "target_branch": "main", "title": title, "description": text}
            return self._requests.create({**asked, "remove_source_branch": True}, **_ONCE)

        def update(request: Any) -> None:
            request.title, request.description = title, text
            request.save(**_ONCE)

        return put(
            Calls[Any](
                find=lambda: _ask(lambda: self._open(branch)),
                open=lambda: _ask(create),
                same=lambda request: (request.title, request.description) == (title, text),
                update=lambda request: _ask(lambda: update(request)),
                told=lambda request: (request.iid, request.web_url),
            )
        )

    def approvals(self, branch: str, commit: str) -> frozenset[str] | None:
        """GitLab takes approvals back by itself when a commit comes, where the project says so."""

        def ask() -> frozenset[str] | None:
            request = self._open(branch)
            if request is None or request.sha != commit:
                return None
            agreed = request.approvals.get(**_ONCE).approved_by
            return frozenset(one["user"]["username"] for one in agreed) - {request.author["username"]}

        return _ask(ask)

    def _open(self, branch: str) -> Any:
        found = self._requests.list(state="opened", source_branch=branch, target_branch="main", get_all=False, **_ONCE)
        own = (one for one in found if one.source_project_id == one.target_project_id)  # no branch of somebody's copy
        return next(own, None)


def _ask(ask: Callable[[], T]) -> T:
    from gitlab import GitlabError
    from requests import RequestException

    def why(error: Exception) -> NexusError:
        if not isinstance(error, GitlabError) or error.response_code is None:
            return silent(_NAME, error)
        return refused(_NAME, error.response_code, str(error.error_message))

    return within_bounds(ask, (GitlabError, RequestException), why)
