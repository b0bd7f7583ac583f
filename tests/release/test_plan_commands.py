"""`nexus canary`, `promote` and `rollback`: each is one commit, and a rollback is the earlier plan byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.errors import Conflict
from nexus_release.names import model_slug
from nexus_release.plan import Plan, admitted, plan_path, plan_text, promoted, read_plan, shifted
from nexus_release.plan_changes import make, promote, rollback
from nexus_release.revisions import routes_revision

from ..support.releases import make_pointer, make_record
from ..support.remotes import Remote, plant_house
from ..support.terminal import at_a_terminal

MODEL = "acme/Llama-4:8B@chat"
SLUG = model_slug(MODEL)
PLAN = plan_path("local", MODEL)
ROUTES = "gitops/local/gateway/routes.d"
RECORDS = [make_record(MODEL, seed) for seed in range(60)]
ONE, *OTHERS = (make_pointer(record) for record in RECORDS)
TWO = next(pointer for pointer in OTHERS if pointer.release[0] == ONE.release[0])
"""Whose id begins with the same digit."""
THREE, FOUR = [pointer for pointer in OTHERS if pointer != TWO][:2]
NEXUS = Path(sys.executable).parent / "nexus"


class Told:
    """What a command has said, and how it has ended."""

    def __init__(self, remote: Remote, *words: str) -> None:
        state = remote.path.parent / "state"
        done = subprocess.run(
            [NEXUS, *words],
            env={**os.environ, "NEXUS_REMOTE": str(remote.path), "NEXUS_STATE": str(state)},
            cwd=remote.path.parent,
            capture_output=True,
            text=True,
        )
        self.status, self.text, self.trouble = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> dict[str, Any]:
        assert self.status == 0, self.trouble
        answer = json.loads(self.text)
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Remote, dict[str, str]]:
    """Three promotions one after the other, and a fourth release at 20 %; the commit of each state by its name."""
    remote = Remote(tmp_path_factory.mktemp("history"), plant_house)
    states: dict[str, str] = {}

    def reached(name: str, plan: Plan) -> Plan:
        states[name] = remote.plan(plan, name)
        return plan

    for record in RECORDS:
        if make_pointer(record) in (ONE, TWO, THREE, FOUR):
            remote.record(record)
    other = "pydoc-chat"
    remote.plan(admitted(None, other, remote.record(make_record(other, 1))), "another model")
    plan = reached("one", admitted(None, MODEL, ONE))
    for number, pointer in enumerate((TWO, THREE), 2):
        plan = reached(f"{number} comes in", admitted(plan, MODEL, pointer))
        plan = reached(f"{number} at 50", shifted(plan, pointer.release, 50))
        plan = reached(f"{number} stable", promoted(plan, pointer.release, 1))
    plan = reached("4 comes in", admitted(plan, MODEL, FOUR))
    reached("4 at 20", shifted(plan, FOUR.release, 20))
    return remote, states


@pytest.fixture
def states(history: tuple[Remote, dict[str, str]]) -> dict[str, str]:
    return history[1]


@pytest.fixture
def remote(history: tuple[Remote, dict[str, str]], tmp_path: Path) -> Remote:
    return Remote.copied(history[0], tmp_path)


def plan_of(remote: Remote) -> Plan:
    remote.pull()
    plan = read_plan(remote.clone, "local", MODEL)
    assert plan is not None
    return plan


def own_tree(remote: Remote, commit: str) -> dict[str, bytes]:
    """All that belongs to the model: its plan, its InferenceServices and its route."""
    return remote.files(PLAN, f"gitops/local/{SLUG}", f"{ROUTES}/{SLUG}.yaml", commit=commit)


def revision(remote: Remote, commit: str) -> str:
    return routes_revision({Path(name).name: data for name, data in remote.files(ROUTES, commit=commit).items()})


def test_a_canary_s_weight_is_one_commit_and_its_revision_is_told(remote: Remote) -> None:
    before = remote.head
    told = Told(remote, "canary", MODEL, "--weight", "35", "--json").json
    canary = plan_of(remote).canary
    assert canary is not None
    assert (canary.release, canary.weight) == (FOUR.release, 35)
    assert told["commits"] == remote.git("rev-list", f"{before}..main").split() == [remote.head]
    assert (told["change"], told["model"], told["release"], told["landed"]) == ("canary", MODEL, FOUR.release, True)
    assert told["revision"] == revision(remote, "main") != revision(remote, before)
    assert remote.changed(remote.head) == {PLAN, f"{ROUTES}/{SLUG}.yaml"}
    assert remote.trailers(remote.head) == {
        "Nexus-Change": "canary",
        "Nexus-Environment": "local",
        "Nexus-Model": MODEL,
        "Nexus-Release": FOUR.release,
        "Nexus-Record": FOUR.record,
    }


def test_the_same_weight_again_changes_nothing_and_says_so(remote: Remote) -> None:
    before = remote.refs()
    told = Told(remote, "canary", MODEL, "--weight", "20")
    assert (told.status, "main says so already" in told.text) == (0, True)
    assert remote.refs() == before


def test_promotion_makes_the_canary_stable_and_keeps_the_former_one(remote: Remote) -> None:
    told = Told(remote, "promote", MODEL, "--release", FOUR.release[:6])
    assert told.status == 0
    assert plan_of(remote) == Plan(model=MODEL, stable=FOUR, retained=(THREE,))
    assert remote.head in told.text
    assert revision(remote, "main") in told.text
    assert remote.trailers(remote.head)["Nexus-Change"] == "promote"


def test_rollbacks_over_several_promotions_give_back_earlier_trees_byte_for_byte(
    remote: Remote, states: dict[str, str]
) -> None:
    assert Told(remote, "promote", MODEL, "--json").json["landed"]
    promoted_tree, other = own_tree(remote, "main"), remote.files("gitops/local/pydoc-chat")

    told = Told(remote, "rollback", MODEL, "--json").json
    assert told["release"] == THREE.release
    assert own_tree(remote, "main") == own_tree(remote, states["4 comes in"])
    assert told["revision"] == revision(remote, states["4 comes in"])
    assert remote.trailers(remote.head)["Nexus-Change"] == "rollback"
    assert states["4 comes in"][:12] in remote.subjects()[0]

    assert Told(remote, "rollback", MODEL, "--to", FOUR.release[:8], "--json").json["release"] == FOUR.release
    assert own_tree(remote, "main") == promoted_tree
    assert remote.files("gitops/local/pydoc-chat") == other


def test_a_rollback_restores_even_the_bytes_that_nexus_would_write_otherwise(remote: Remote) -> None:
    Told(remote, "canary", MODEL, "--weight", "0")
    text = "# Looked at by two people.\n" + plan_text(plan_of(remote))
    remote.commit({PLAN: text})
    Told(remote, "promote", MODEL)
    assert remote.file(PLAN) != text.encode()
    assert Told(remote, "rollback", MODEL).status == 0
    assert remote.file(PLAN) == text.encode()


def test_what_is_no_longer_warm_is_not_rolled_back_to_in_one_step(remote: Remote) -> None:
    before = remote.refs()
    Told(remote, "canary", MODEL, "--weight", "0")
    told = Told(remote, "rollback", MODEL, "--to", ONE.release)
    assert told.status == 1
    assert "is not up yet" in told.trouble
    assert remote.refs().keys() == before.keys()


def test_a_dry_run_shows_plan_and_manifests_and_changes_nothing(remote: Remote) -> None:
    before = remote.refs()
    told = Told(remote, "promote", MODEL, "--dry-run")
    assert told.status == 0
    assert f"--- a/{PLAN}" in told.text
    assert f"--- a/{ROUTES}/{SLUG}.yaml" in told.text
    assert "+++ /dev/null" in told.text, "the release that was kept warm before goes"
    assert "-  weight: 20" in told.text
    assert Told(remote, "promote", MODEL, "--dry-run", "--json").json["diff"].rstrip() == told.text.rstrip()
    assert Told(remote, "canary", MODEL, "--weight", "20", "--dry-run").text.startswith("nothing would change")
    assert remote.refs() == before


def test_a_dry_run_of_what_may_not_land_says_why(remote: Remote) -> None:
    Told(remote, "canary", MODEL, "--weight", "0")
    told = Told(remote, "rollback", MODEL, "--to", ONE.release, "--dry-run")
    assert (told.status, "is not up yet" in told.trouble) == (1, True)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("canary", MODEL, "--weight", "101"), 2, "weight: 101"),
        (("canary", MODEL, "--weight", "-1"), 2, "weight: -1"),
        (("canary", MODEL, "--weight", "5", "--release", ONE.release[:8]), 2, f"the canary is {FOUR.release}"),
        (("canary", "pydoc-chat", "--weight", "5"), 2, "a later release comes in as canary"),
        (("promote", "pydoc-chat"), 2, "a later release comes in as canary"),
        (("promote", "no-such-model"), 1, "no-such-model"),
        (("promote", "../../etc"), 2, "MODEL: '../../etc'"),
        (("promote", MODEL, "--env", "moon"), 2, "environment: 'moon'"),
        (("promote", MODEL, "--env", "../local"), 2, "environment: '../local'"),
        (("promote", MODEL, "--env", "dev"), 1, "this environment has no such model"),
        (("rollback", "pydoc-chat"), 1, "no earlier plan"),
        (("rollback", MODEL, "--to", "ffff"), 1, "ffff"),
        (("rollback", MODEL), 1, "shift its weight to 0 first"),
        (("promote", MODEL, "--remote", "/no/such/remote.git"), 1, "/no/such/remote.git"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason_and_changes_nothing(
    history: tuple[Remote, dict[str, str]], words: tuple[str, ...], status: int, says: str
) -> None:
    remote = history[0]
    before = remote.refs()
    told = Told(remote, *words)
    assert (told.status, told.text) == (status, "")
    assert says in told.trouble
    assert "Traceback" not in told.trouble
    assert remote.refs() == before


def test_the_beginning_of_two_releases_is_refused(remote: Remote) -> None:
    told = Told(remote, "rollback", MODEL, "--to", ONE.release[0])
    assert told.status == 2
    assert ONE.release in told.trouble
    assert TWO.release in told.trouble


def test_a_change_decided_on_a_plan_that_has_gone_is_a_conflict_or_made_anew(remote: Remote) -> None:
    repository = GitRepository(str(remote.path))
    Told(remote, "canary", MODEL, "--weight", "0")
    present = plan_of(remote)
    back = rollback(repository, present, MODEL, "local", TWO.release)
    forward = promote(present, MODEL, "local")
    remote.plan(shifted(present, FOUR.release, 10), "somebody else's weight")
    with pytest.raises(Conflict, match="has changed since"):
        make(repository, "local", back)
    assert make(repository, "local", forward).landed
    assert plan_of(remote).stable == FOUR


@pytest.mark.parametrize(("typed", "words", "made"), [("y\n", (), True), ("n\n", (), False), ("", ("--yes",), True)])
def test_a_person_at_a_terminal_is_asked_before_a_commit(
    remote: Remote, typed: str, words: tuple[str, ...], made: bool
) -> None:
    before = remote.head
    place = remote.path.parent
    named = {"NEXUS_REMOTE": str(remote.path), "NEXUS_STATE": str(place / "state")}
    status, shown = at_a_terminal("nexus", "promote", MODEL, *words, typed=typed, cwd=place, **named)
    assert (status, remote.head != before) == ((0, True) if made else (130, False)), shown
    assert ("commit it to main of local?" in shown) == (not words)
    assert ("nothing is changed" in shown) == (not made)
    assert "the change is tried on main ..." in shown
    assert ("the change is made ..." in shown) == made


def test_where_people_review_a_branch_waits(remote: Remote) -> None:
    remote.plan(plan_of(remote), "the same in dev", environment="dev")
    before = remote.refs()
    told = Told(remote, "promote", MODEL, "--env", "dev", "--json").json
    assert not told["landed"]
    assert told["branch"] == f"promote/dev/{SLUG}/{FOUR.release[:12]}"
    assert remote.refs() == {**before, told["branch"]: told["commits"][-1]}
    assert "waits for review" in Told(remote, "promote", MODEL, "--env", "dev").text
