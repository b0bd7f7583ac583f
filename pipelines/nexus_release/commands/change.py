"""What canary, promote and rollback share: their options, and how a change is tried, made and told."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from nexus_release.commands import arguments
from nexus_release.terminal import plain
from nexus_terminal.progress import Progress, agreed

if TYPE_CHECKING:
    from nexus_release.plan_changes import Main, PlanChange
    from nexus_release.ports import Repository
    from nexus_release.wiring import Tools

_FILE = click.Path(path_type=Path, dir_okay=False)
F = TypeVar("F", bound=Callable[..., None])


class How(TypedDict):
    """What `options` asks for besides model and environment."""

    remote: str | None
    simulated: Path | None
    text_file: Path | None
    dry_run: bool
    yes: bool
    as_json: bool


def options(function: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
        click.option("--text", "text_file", type=_FILE, help="Write the pull request's text to this file."),
        click.option("--simulated", type=_FILE, help="A report of `nexus-gateway simulate`, for the text's end."),
        click.option("--yes", is_flag=True, help="Do not ask; where there is no terminal, nobody is asked."),
        click.option("--dry-run", is_flag=True, help="Show the diff of plan and manifests, and change nothing."),
        click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE]."),
        arguments.in_environment,
        arguments.of_model,
    ):
        function = option(function)
    return function


def open_tools(remote: str | None) -> Tools:
    from nexus_release.wiring import Connections, Tools

    connections = Connections.from_environment()
    return Tools(connections.model_copy(update={"remote": remote, "push": ""}) if remote else connections)


def carry_out(
    decide: Callable[[Main, Repository], PlanChange], model: str, environment: str, **how: Unpack[How]
) -> None:
    """Decides on main as it is, then tries the change or makes it."""
    from nexus_release.config import load_settings
    from nexus_release.plan import read_plan
    from nexus_release.plan_changes import Main
    from nexus_release.proposals import two_checkouts

    tools, text = open_tools(how["remote"]), ""
    with Progress("the change is tried on main"), two_checkouts(tools.repository) as (_, before, after):
        review = load_settings(before, environment).landing == "review"  # an environment that is none is said first
        main = Main(before, read_plan(before, environment, model), tools.store, tools.signatures)
        change = decide(main, tools.repository)
        told: dict[str, Any] = {"change": change.kind, "model": model, "environment": environment}
        told |= {"release": change.pointer.release, "message": change.message}
        if how["dry_run"]:
            told |= _tried(before, after, environment, change)
        if how["text_file"] or (review and not how["dry_run"]):
            text = _described(before, after, environment, change, how["simulated"])
    if text and how["text_file"]:
        how["text_file"].write_text(text, encoding="utf-8")
    if not how["dry_run"]:
        where = "propose it by a branch" if review else "commit it to main"
        agreed(f"{plain(change.message)}\n{where} of {environment}?", yes=how["yes"])
        with Progress("the change is made"):
            told |= _made(tools.repository, environment, change)
            told |= _reviewed(tools, told, text)
    click.echo(json.dumps(told, indent=2) if how["as_json"] else plain(_text(told)))


def _tried(before: Path, after: Path, environment: str, change: PlanChange) -> dict[str, Any]:
    """The whole diff. Raises NexusError where the change may not land."""
    from nexus_release.manifests.changes import changed_paths
    from nexus_release.plan_changes import commit_of
    from nexus_release.renderer import check_with_own_code

    commit_of(environment, change).edit(after)
    paths = changed_paths(before, after)
    if paths:
        check_with_own_code(before, after, environment)
    return {"diff": "".join(line for path in paths for line in _diff(before, after, path))}


def _described(before: Path, after: Path, environment: str, change: PlanChange, simulated: Path | None) -> str:
    """The text of the pull request; empty where nothing changes."""
    from nexus_release.plan_changes import commit_of
    from nexus_release.promotion.review import review_text

    report = simulated.read_text(encoding="utf-8") if simulated else ""
    commits = [commit_of(environment, change)]
    return review_text(before, after, environment, change.model, change.pointer, commits, report)


def _made(repository: Repository, environment: str, change: PlanChange) -> dict[str, Any]:
    from nexus_release.history import revision_at
    from nexus_release.plan_changes import make

    done = make(repository, environment, change)
    told: dict[str, Any] = {"branch": done.branch, "commits": list(done.commits), "landed": done.landed}
    if done.landed:
        with repository.history() as history:
            commit = done.commits[-1] if done.commits else repository.head()
            told["revision"] = revision_at(history, environment, commit)
    return told


def _reviewed(tools: Tools, told: dict[str, Any], text: str) -> dict[str, Any]:
    """The pull request of a branch that waits; nothing where the remote is on no forge, or no token is given."""
    from nexus_release.promotion.review import open_review

    if told["landed"] or tools.forge is None:
        return {}
    opened = open_review(tools.forge, told["branch"], told["message"], text)
    return {"pull_request": opened.url, "pull_request_was": opened.what}


def _diff(before: Path, after: Path, path: str) -> Iterator[str]:
    old, new = (_lines(root / path) for root in (before, after))
    return difflib.unified_diff(old, new, f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []


def _text(told: dict[str, Any]) -> str:
    if "diff" in told:
        return str(told["diff"]).rstrip("\n") or "nothing would change: main says so already"
    revision = f"\nrevision  {told['revision']}, what the gateway serves then" if told["landed"] else ""
    if not told["commits"]:
        return f"nothing to change: main says so already{revision}"
    where = "" if told["landed"] else f"\nbranch    {told['branch']} waits for review"
    opened = f"\nreview    {told['pull_request']} ({told['pull_request_was']})" if "pull_request" in told else ""
    return f"{told['message']}\ncommit    {told['commits'][-1]}{where}{opened}{revision}"
