"""What differs in an environment between two trees: in words for people, and as the diff of what is rendered."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_release.config import BASE, settings_path
from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen
from nexus_release.manifests.changes import changed_paths
from nexus_release.manifests.diff import tree_diff
from nexus_release.manifests.tree import Inputs, load_inputs, render, write
from nexus_release.plan import Plan
from nexus_release.policies import SCHEMA, policies_path
from nexus_release.ports import Repository
from nexus_release.prices import money_text
from nexus_release.promotion.impact import Impact, impact

_COPIED = ("environments", "gitops")


class EnvironmentChange(Frozen):
    environment: str
    before: str
    """The commit; of main, or the one at which a branch left it."""
    after: str
    """The commit, or `this checkout`."""
    models: tuple[str, ...]
    """A sentence for each model whose plan differs, by model."""
    others: tuple[str, ...]
    """Files under `environments/` that differ and are no plans: their changes are in the diff alone."""
    diff: str


def since_or_by(repository: Repository, environment: str, revision: str) -> EnvironmentChange:
    """What a branch would change, or what main has changed since one of its commits. Raises Missing or BadInput."""
    with _two_folders() as (before, after):
        found = repository.checkout(after, revision)
        base = repository.departed(revision)
        if base == found:  # a commit of main: what has come since
            return _change(environment, (after, found), (before, repository.checkout(before)))
        return _change(environment, (before, repository.checkout(before, base)), (after, found))


def by_checkout(repository: Repository, environment: str, checkout: Path) -> EnvironmentChange:
    """What would change if the files of `checkout` were main's, rendered anew by this code."""
    if not (checkout / BASE).is_file():
        raise BadInput("folder", str(checkout.absolute()), "run it in a checkout, or name a branch or a commit")
    with _two_folders() as (before, after):
        commit = repository.checkout(before)
        for name in _COPIED:
            shutil.copytree(checkout / name, after / name, symlinks=True)
        if (checkout / SCHEMA).is_file():  # else rendering says what is missing, and its mend
            (after / SCHEMA).parent.mkdir()
            shutil.copyfile(checkout / SCHEMA, after / SCHEMA)
        write(after, environment, render(load_inputs(after, environment)))
        return _change(environment, (before, commit), (after, "this checkout"))


def lines(found: EnvironmentChange) -> list[str]:
    told = [f"{found.environment}: {found.before[:12]} -> {found.after[:12]}", *found.models]
    told += [f"{path} differs" for path in found.others]
    if not (found.models or found.others or found.diff):
        return [*told, "nothing differs"]
    return [*told, *found.diff.splitlines()]


def _change(environment: str, old: tuple[Path, str], new: tuple[Path, str]) -> EnvironmentChange:
    (before, was), (after, becomes) = old, new
    one, other = load_inputs(before, environment), load_inputs(after, environment)
    differ = [model for model in sorted({*one.plans, *other.plans}) if one.plans.get(model) != other.plans.get(model)]
    changed = changed_paths(before, after)
    own = {BASE, settings_path(environment), policies_path(environment)}
    return EnvironmentChange(
        environment=environment,
        before=was,
        after=becomes,
        models=tuple(_sentence(one, other, model, impact(one, other, model)) for model in differ),
        others=tuple(path for path in changed if path in own),
        diff=tree_diff(before, after, environment, changed),
    )


def _sentence(before: Inputs, after: Inputs, model: str, done: Impact) -> str:
    old, new = done.before, done.after
    parts = [f"{_said(before.plans.get(model))} -> {_said(after.plans.get(model))}"]
    if done.moved:
        parts.append(f"{done.moved} % of the traffic moves")
    if new.gpus != old.gpus:
        parts.append(f"{new.gpus - old.gpus:+d} x {new.gpu}")
    if new.hour != old.hour:
        parts.append(
            f"{'+' if new.hour > old.hour else ''}{money_text(new.hour - old.hour, new.currency)} an hour at most"
        )
    return f"{model}: {'; '.join(parts)}; {done.approvals} approvals"


def _said(plan: Plan | None) -> str:
    if plan is None:
        return "not there"
    canary = f", canary {plan.canary.release[:12]} at {plan.canary.weight} %" if plan.canary else ""
    kept = f", {len(plan.retained)} kept warm" if plan.retained else ""
    return f"stable {plan.stable.release[:12]}{canary}{kept}"


@contextmanager
def _two_folders() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="nexus-diff-") as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.mkdir()
        after.mkdir()
        yield before, after
