"""What main's history says: which plans there were, and which commit gave which revision."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.errors import NexusError
from nexus_release.plan import Plan, parse_plan, plan_path
from nexus_release.ports import History, LoggedCommit
from nexus_release.revisions import routes_revision


def plans(history: History, environment: str, model: str) -> Iterator[tuple[str, Plan, str]]:
    """Each commit that changed the model's plan, with the plan and its file's text; newest first."""
    path = plan_path(environment, model)
    for logged in history.commits(path):
        data = history.file(logged.hash, path)
        if data is None:
            continue  # the model was withdrawn there
        try:
            yield logged.hash, parse_plan(data, path), data.decode()
        except NexusError:
            continue  # a plan of another schema is no place to go back to


def routes_folder(environment: str) -> str:
    return f"gitops/{environment}/gateway/routes.d"


def revision_at(history: History, environment: str, commit: str) -> str:
    return routes_revision(history.folder(commit, routes_folder(environment)))


def commits_of_revision(history: History, environment: str, prefix: str) -> list[tuple[LoggedCommit, str]]:
    """Commits whose route files have a revision that starts so, newest first, each with the whole revision."""
    found = []
    for logged in history.commits(routes_folder(environment)):
        revision = revision_at(history, environment, logged.hash)
        if revision.startswith(prefix):
            found.append((logged, revision))
    return found
