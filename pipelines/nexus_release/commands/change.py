"""What canary, promote and rollback share: their options, and how a change is shown, made and told."""

from __future__ import annotations

import difflib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from nexus_release.plan import Plan
    from nexus_release.plan_changes import PlanChange
    from nexus_release.ports import Repository

F = TypeVar("F", bound=Callable[..., None])


def options(function: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
        click.option("--dry-run", is_flag=True, help="Show the diff of the plan and change nothing."),
        click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE]."),
        click.option("--env", "environment", default="local", show_default=True),
    ):
        function = option(function)
    return function


def carry_out(
    decide: Callable[[Repository, Plan | None], PlanChange],
    model: str,
    environment: str,
    remote: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from nexus_release.history import revision_at
    from nexus_release.plan import plan_path, plan_text, read_plan
    from nexus_release.plan_changes import make
    from nexus_release.wiring import Connections, Tools

    connections = Connections.from_environment()
    if remote:
        connections = connections.model_copy(update={"remote": remote})
    repository = Tools(connections).repository
    with tempfile.TemporaryDirectory(prefix="nexus-change-") as folder:
        root = Path(folder)
        repository.checkout(root)
        plan = read_plan(root, environment, model)
        change = decide(repository, plan)
        before = plan_text(plan) if plan else ""
        after = change.text(root, plan)
    diff = "".join(
        difflib.unified_diff(
            before.splitlines(True),
            after.splitlines(True),
            plan_path(environment, model),
            plan_path(environment, model),
        )
    )
    answer: dict[str, object] = {"change": change.kind, "model": model, "release": change.pointer.release, "diff": diff}
    if not dry_run:
        done = make(repository, environment, change)
        answer |= {"branch": done.branch, "commits": list(done.commits), "landed": done.landed}
        if done.landed:
            with repository.history() as history:
                answer["revision"] = revision_at(history, environment, repository.head())
    click.echo(json.dumps(answer, indent=2) if as_json else _told(change, answer, dry_run))


def _told(change: PlanChange, answer: dict[str, object], dry_run: bool) -> str:
    if dry_run:
        return str(answer["diff"]) or "nothing would change"
    if not answer["commits"]:
        return "nothing to change: main says so already"
    where = (
        f"commit {str(answer['commits'])[2:14]}" if answer["landed"] else f"branch {answer['branch']} waits for review"
    )
    revision = f"; the gateway will serve revision {str(answer['revision'])[:12]}" if answer["landed"] else ""
    return f"{change.message}: {where}{revision}"
