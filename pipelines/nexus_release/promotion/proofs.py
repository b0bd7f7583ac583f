"""What is proved of a pull request before people look at it. One proof is one claim; each names all its faults.

The rules are those of main's files: its settings, its keys, its code. So a change cannot ease what judges it, as long
as this program itself is main's; `.github/workflows/check-pr.yml` runs main's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nexus_release.canary.evidence import EVIDENCE
from nexus_release.config import environment_names, load_settings
from nexus_release.documents import parse_yaml
from nexus_release.errors import NexusError
from nexus_release.manifests.changes import RECORDS
from nexus_release.object_rules.built import rendered_objects
from nexus_release.object_rules.findings import findings
from nexus_release.plan import Plan, parse_plan, plan_path
from nexus_release.ports import Signatures, Store
from nexus_release.promotion import model_proofs
from nexus_release.promotion.chain import below
from nexus_release.promotion.evidence import impact_of
from nexus_release.promotion.policy_tests import policy_test_faults
from nexus_release.promotion.proof import Proof, proof
from nexus_release.promotion.pull import (
    FILE,
    Kind,
    Pull,
    Subject,
    belongs,
    belongs_to_policies,
    kind_of,
    policy_environments,
    subjects_of,
)
from nexus_release.renderer import check_by, fresh_by

Reviews = Callable[[], frozenset[str] | None]
"""Who has agreed; None where nobody can be asked."""


def prove(pull: Pull, store: Store, signatures: Signatures, reviews: Reviews) -> tuple[Kind, tuple[Proof, ...]]:
    """Raises what reading main raises; whatever the branch brings is a fault in a proof."""
    kind = kind_of(pull.modes)
    if kind == "model":
        return kind, tuple(_model(pull, store, signatures, reviews))
    if kind == "policies":
        return kind, tuple(_policies(pull, reviews))
    return kind, tuple(_code(pull, reviews)) if kind == "code" else ()


def _model(pull: Pull, store: Store, signatures: Signatures, reviews: Reviews) -> Iterator[Proof]:
    subjects, names = subjects_of(pull.modes), environment_names(pull.before)
    if len(subjects) != 1 or subjects[0].environment not in names:
        yield proof("one model", _many(subjects, names), "")
        yield _files(pull)
        return
    (subject,) = subjects
    try:
        model, plan = _plans(pull, subject)
    except NexusError as error:
        yield proof("one model", [str(error)], "")
        yield _files(pull)
        return
    environment = subject.environment
    strays = (
        f"{path}: no part of {model} in {environment}" for path in pull.modes if not belongs(path, subject, model)
    )
    yield proof("one model", strays, f"{model} in {environment}, and nothing else")
    yield _files(pull)
    rules = f"expand, shift, contract; {RECORDS} only grows; byte for byte what the plans render"
    yield proof("rendered", _refused(lambda: check_by(pull.before, pull.before, pull.after, environment)), rules)
    yield from model_proofs.of_releases(pull, environment, model, plan, store, signatures)
    yield _objects(pull, environment)
    yield proof("policy tests", policy_test_faults(pull.after, environment), "every one holds, or there is none")
    yield _approved(reviews, lambda: impact_of(pull.before, pull.after, environment, model).approvals)


def _policies(pull: Pull, reviews: Reviews) -> Iterator[Proof]:
    environments = policy_environments(pull.modes)
    strays = (
        f"{path}: no part of the policies of {', '.join(environments)}"
        for path in pull.modes
        if not any(belongs_to_policies(path, environment) for environment in environments)
    )
    yield proof("policies alone", strays, f"of {', '.join(environments)}, and nothing else")
    yield _files(pull)
    yield _fresh(pull, pull.before, *environments)
    yield _policy_tests(pull, environments)
    most = (load_settings(pull.before, environment).approvals.policies for environment in environments)
    yield _approved(reviews, lambda: max(most))


def _code(pull: Pull, reviews: Reviews) -> Iterator[Proof]:
    approved = _approved(reviews, lambda: _needed_for_code(pull))  # before the branch's own renderer runs beside main
    plans = (f"environments/{one.environment}/models/{one.slug}.yaml" for one in subjects_of(pull.modes))
    own = (path for path in pull.modes if path.startswith((RECORDS, EVIDENCE)))
    faults = (f"{path}: a plan or a record changes in a pull request of its own" for path in (*plans, *own))
    yield proof("no model", faults, "no plan, record or evidence changes beside settings or code")
    yield _files(pull, "environments/", "gitops/")
    yield proof("settings", _settings(pull.after), "every environment's can be read, and they go in no circle")
    if environments := policy_environments(pull.modes):
        yield _policy_tests(pull, environments)
    yield _fresh(pull, pull.after)
    yield approved


def _needed_for_code(pull: Pull) -> int:
    """As many as the change of policies in it would need alone."""
    rules = {name: load_settings(pull.before, name).approvals for name in environment_names(pull.before)}
    policies = [rules[name].policies for name in policy_environments(pull.modes) if name in rules]
    return max((*policies, *(one.code for one in rules.values())), default=1)


def _policy_tests(pull: Pull, environments: tuple[str, ...]) -> Proof:
    faults = (fault for environment in environments for fault in policy_test_faults(pull.after, environment))
    return proof("policy tests", faults, "every one holds")


def _many(subjects: tuple[Subject, ...], names: tuple[str, ...]) -> Iterator[str]:
    if not subjects:
        yield "only what machines write has changed, and no plan from which it follows"
    for one in subjects:
        known = "" if one.environment in names else ", which is no environment of main"
        yield f"environments/{one.environment}/models/{one.slug}.yaml: one of {len(subjects)} plans{known}"


def _plans(pull: Pull, subject: Subject) -> tuple[str, Plan | None]:
    """(the model, its plan afterwards). Raises BadInput or Missing."""
    path = f"environments/{subject.environment}/models/{subject.slug}.yaml"
    place = pull.after if pull.modes[path] != "000000" else pull.before
    plan = parse_plan((place / path).read_bytes(), path) if pull.modes[path] in (FILE, "000000") else None
    if plan is None:
        raise NexusError(f"{path}: it is no plain file")
    assert plan_path(subject.environment, plan.model) == path  # noqa: S101 - parse_plan has held it
    return plan.model, plan if place == pull.after else None


def _files(pull: Pull, *folders: str) -> Proof:
    """Links, programs and submodules have no business among plans, records and what is rendered. Of `folders`, or of
    all that changes."""
    faults = [f"{path}: mode {mode}, and a plain file is {FILE}" for path, mode in pull.modes.items()
              if mode not in (FILE, "000000") and path.startswith(folders or "")]  # fmt: skip
    return proof("plain files", [*faults, *_hides(pull)], "no link, no program, no YAML that hides a value")


def _hides(pull: Pull) -> Iterator[str]:
    for path, mode in pull.modes.items():
        if mode.startswith("100") and path.endswith(".yaml") and path.startswith(("environments/", "gitops/")):
            try:
                parse_yaml((pull.after / path).read_bytes(), path)
            except NexusError as error:
                yield str(error)


def _settings(root: Path) -> Iterator[str]:
    try:
        for name in environment_names(root):
            below(root, name)
    except NexusError as error:
        yield str(error)


def _fresh(pull: Pull, code: Path, *environments: str) -> Proof:
    said = f"gitops/ is byte for byte what {', '.join(environments) or 'every environment'} renders"
    return proof("rendered", _refused(lambda: fresh_by(code, pull.after, *environments)), said)


def _refused(ask: Callable[[], None]) -> Iterator[str]:
    try:
        ask()
    except NexusError as error:
        yield from str(error).splitlines()


def _objects(pull: Pull, environment: str) -> Proof:
    try:
        faults = [str(one) for one in findings(rendered_objects(pull.after, environment))]
    except (NexusError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        faults = [f"the objects cannot be read: {type(error).__name__}: {error}"]
    return proof("object rules", faults, "every rendered object keeps them")


def _approved(reviews: Reviews, needed: Callable[[], int]) -> Proof:
    try:
        wanted = needed()
    except NexusError as error:
        return proof("approvals", [f"how many are needed cannot be told: {error}"], "")
    if not wanted:
        return proof("approvals", (), "none is needed")
    given = reviews()
    if given is None:
        return proof("approvals", (), "", [f"{wanted} needed; no forge tells here who has agreed"])
    lacks = [f"{wanted} needed, {len(given)} given: {', '.join(sorted(given)) or 'by nobody'}"]
    return proof("approvals", lacks if len(given) < wanted else (), f"{len(given)} of {wanted} needed")
