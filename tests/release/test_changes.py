"""What a proposal may change: expand, shift, contract; records stay; nothing else moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_release.manifests.changes import changed_paths, refusals
from nexus_release.manifests.tree import load_inputs, render, service_path, write
from nexus_release.plan import Plan, admitted, plan_path, promoted, read_plan, shifted
from nexus_release.record import record_path, record_text

from ..support.releases import make_plan, make_pointer, make_record, plant_environments, plant_plan, plant_record

MODEL = "pydoc-chat"
ONE, TWO, THREE = (make_pointer(make_record(MODEL, seed)) for seed in (1, 2, 3))
FIRST = admitted(None, MODEL, ONE)
ENTERED = admitted(FIRST, MODEL, TWO)
WEIGHTED = shifted(ENTERED, TWO.release, 20)
FULL = shifted(ENTERED, TWO.release, 100)
PROMOTED = promoted(WEIGHTED, TWO.release, 1)


class Trees:
    """A repository before a proposal and after it."""

    def __init__(self, folder: Path) -> None:
        self.before, self.after = folder / "before", folder / "after"
        plant_environments(self.before)
        plant_record(self.before, make_record(MODEL, 1))
        write(self.before, "dev", render(load_inputs(self.before, "dev")))

    def propose(self, before: Plan | None, after: Plan | None) -> tuple[str, ...]:
        """The refusals of a proposal that moves a model from one plan to another."""
        for seed in (2, 3):
            plant_record(self.before, make_record(MODEL, seed))
        if before:
            plant_plan(self.before, "dev", before)
        self.fork()
        if after:
            plant_plan(self.after, "dev", after)
        else:
            (self.after / plan_path("dev", MODEL)).unlink()
            write(self.after, "dev", render(load_inputs(self.after, "dev")))
        return self.refusals()

    def fork(self) -> None:
        shutil.copytree(self.before, self.after)

    def refusals(self) -> tuple[str, ...]:
        return refusals(self.before, self.after, "dev")


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, FIRST),
        (FIRST, ENTERED),
        (ENTERED, WEIGHTED),
        (WEIGHTED, FULL),
        (WEIGHTED, PROMOTED),
        (PROMOTED, WEIGHTED),
        (PROMOTED, Plan(model=MODEL, stable=TWO)),
        (FULL, promoted(FULL, TWO.release, 0)),
        (ENTERED, admitted(FIRST, MODEL, THREE)),
        (WEIGHTED, None),
        (WEIGHTED, WEIGHTED),
    ],
    ids=[
        "first release", "expand", "shift", "shift all", "promote", "roll back", "contract", "contract at once",
        "replace an idle canary", "withdraw the model", "nothing",
    ],
)  # fmt: skip
def test_a_move_that_leaves_every_target_standing_lands(trees: Trees, before: Plan | None, after: Plan | None) -> None:
    assert trees.propose(before, after) == ()


def path_of(release: str) -> str:
    return service_path("dev", MODEL, release)


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        (FIRST, WEIGHTED, f"{path_of(TWO.release)}: would get 20 % and is not up yet"),
        (FIRST, PROMOTED, f"{path_of(TWO.release)}: would get 100 % and is not up yet"),
        (PROMOTED, admitted(None, MODEL, THREE), f"{path_of(THREE.release)}: would get 100 % and is not up yet"),
        (WEIGHTED, FIRST, f"{path_of(TWO.release)}: has 20 % and would go"),
        (WEIGHTED, admitted(FIRST, MODEL, THREE), f"{path_of(TWO.release)}: has 20 % and would go"),
        (WEIGHTED, promoted(WEIGHTED, TWO.release, 0), f"{path_of(ONE.release)}: has 80 % and would go"),
    ],
    ids=["weight at once", "promotion at once", "another stable", "drop", "replace a canary", "retain nothing"],
)
def test_traffic_and_its_target_never_change_in_one_commit(
    trees: Trees, before: Plan, after: Plan, refused: str
) -> None:
    assert any(refused in line for line in trees.propose(before, after))


def test_a_record_comes_with_its_plan(trees: Trees) -> None:
    plant_plan(trees.before, "dev", FIRST)
    trees.fork()
    plant_record(trees.after, make_record(MODEL, 2))
    plant_plan(trees.after, "dev", ENTERED)
    assert trees.refusals() == ()
    assert record_path(MODEL, TWO.release) in changed_paths(trees.before, trees.after)


def edit_a_record(root: Path) -> str:
    path = record_path(MODEL, ONE.release)
    (root / path).write_text((root / path).read_text().replace('"a test"', '"b test"'))
    return f"{path}: records are append-only"


def remove_a_record(root: Path) -> str:
    path = record_path(MODEL, ONE.release)
    (root / path).unlink()
    return f"{path}: records are append-only"


def add_a_record_under_another_id(root: Path) -> str:
    path = record_path(MODEL, TWO.release)
    (root / path).write_text(record_text(make_record(MODEL, 3)))
    return f"expected {TWO.release}, found {THREE.release}"


def add_a_record_in_another_folder(root: Path) -> str:
    path = record_path("other", TWO.release)
    (root / path).parent.mkdir()
    for place in (path, record_path(MODEL, TWO.release)):
        (root / place).write_text(record_text(make_record(MODEL, 2)))
    return f"{path}: the record of {MODEL} belongs at {record_path(MODEL, TWO.release)}"


def add_no_record(root: Path) -> str:
    path = record_path(MODEL, TWO.release)
    (root / path).write_text("{}")
    return f"{path}: no release record"


def edit_settings(root: Path) -> str:
    path = "environments/dev/settings.yaml"
    (root / path).write_text("retain: 0\n")
    return f"{path}: a proposal for dev changes plans, records, evidence and gitops/dev/ only"


def edit_code(root: Path) -> str:
    (root / "Makefile").write_text("all:\n")
    return "Makefile: a proposal for dev"


def edit_another_environment(root: Path) -> str:
    plant_plan(root, "prod", FIRST)
    return "environments/prod/models/pydoc-chat.yaml: a proposal for dev"


def link_a_file(root: Path) -> str:
    (root / "link").symlink_to("/etc/passwd")
    return "link: a proposal for dev"


def edit_what_is_rendered(root: Path) -> str:
    path = "gitops/dev/namespace/namespace.yaml"
    (root / path).write_text((root / path).read_text().replace("restricted", "privileged"))
    return f"{path}: not what the plans render"


def link_what_is_rendered(root: Path) -> str:
    path = root / "gitops/dev/namespace/namespace.yaml"
    path.rename(root / "gitops/dev/namespace/moved.yaml")
    path.symlink_to("moved.yaml")
    return "gitops/dev/namespace/namespace.yaml: not what the plans render"


def add_to_the_tree(root: Path) -> str:
    (root / "gitops/dev/pydoc-chat/extra.yaml").write_text("kind: Secret\n")
    return "gitops/dev/pydoc-chat/extra.yaml: not what the plans render"


def forget_to_render(root: Path) -> str:
    path = root / plan_path("dev", MODEL)
    path.write_text(path.read_text().replace(ONE.release, TWO.release).replace(ONE.record, TWO.record))
    plant_record(root, make_record(MODEL, 2))
    return f"{path_of(TWO.release)}: not what the plans render"


def point_to_a_record_that_differs(root: Path) -> str:
    path = root / plan_path("dev", MODEL)
    path.write_text(path.read_text().replace(ONE.record, TWO.record))
    return f"expected {TWO.record}, found {ONE.record}"


def admit_what_failed_its_evaluation(root: Path) -> str:
    failed = plant_record(root, make_record(MODEL, 4, accepted=False))
    plan = read_plan(root, "dev", MODEL)
    plant_plan(root, "dev", admitted(plan, MODEL, failed))
    return f"release {failed.release} did not pass its gates"


@pytest.mark.parametrize(
    "fault",
    [
        edit_a_record, remove_a_record, add_a_record_under_another_id, add_a_record_in_another_folder, add_no_record,
        edit_settings, edit_code, edit_another_environment, link_a_file, edit_what_is_rendered, link_what_is_rendered,
        add_to_the_tree, forget_to_render, point_to_a_record_that_differs, admit_what_failed_its_evaluation,
    ],
)  # fmt: skip
def test_each_way_of_being_bad_is_refused(trees: Trees, fault: Callable[[Path], str]) -> None:
    plant_plan(trees.before, "dev", FIRST)
    trees.fork()
    assert trees.refusals() == ()
    expected = fault(trees.after)
    assert [line for line in trees.refusals() if expected in line], trees.refusals()


def test_git_s_own_folder_is_no_change(trees: Trees) -> None:
    plant_plan(trees.before, "dev", make_plan(MODEL, "first"))
    trees.fork()
    (trees.after / ".git").mkdir()
    (trees.after / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert changed_paths(trees.before, trees.after) == ()
