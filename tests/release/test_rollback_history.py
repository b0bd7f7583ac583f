"""A rollback restores the earlier tree byte for byte, after any history of promotions across environments."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nexus_release import proposals
from nexus_release.errors import NexusError
from nexus_release.history import plans
from nexus_release.manifests.tree import load_inputs, render, write
from nexus_release.names import model_slug
from nexus_release.plan import admitted, plan_path, read_plan
from nexus_release.plan_changes import Main, PlanChange, canary, commit_of, enter, promote, rollback
from nexus_release.proposals import branch_name

from ..support.promotable import CLUSTERS, MODEL, Company, plant_clusters, promotable
from ..support.remotes import Remote

STEPS = 24
SEEDS = (1, 2)


class Story:
    """People who change plans at random, each change one commit of main."""

    def __init__(self, company: Company, seed: int) -> None:
        self.company, self.chance = company, random.Random(seed)
        self.tools = company.tools
        self.made = 0

    def main(self, environment: str) -> Main:
        self.company.remote.pull()
        root = self.company.remote.clone
        return Main(root, read_plan(root, environment, MODEL), self.tools.store, self.tools.signatures)

    def step(self) -> str:
        """What somebody made of a plan taken at random; empty where there was nothing to make of it."""
        environment = self.chance.choice(CLUSTERS)
        plan = self.main(environment).plan
        if plan is not None and plan.canary:
            return self._make(environment, self._change(environment, self.chance.choice(("canary", "promote"))))
        if environment == "dev":
            self.made += 1
            pointer = self.company.make(promotable(self.made))
            self.company.remote.plan(admitted(self.main("dev").plan, MODEL, pointer), "released", "dev")
            return "release"
        return self._make(environment, self._change(environment, "enter"))

    def _change(self, environment: str, kind: str) -> PlanChange:
        main = self.main(environment)
        if kind == "enter":
            return enter(main, MODEL, environment)
        if kind == "canary":
            return canary(main.plan, MODEL, self.chance.choice((0, 10, 50, 100)))
        return promote(main.plan, MODEL, environment)

    def _make(self, environment: str, change: PlanChange) -> str:
        branch = branch_name(change.kind, environment, MODEL, change.pointer.release[:12])
        landed = self.tools.repository.propose(
            branch, [commit_of(environment, change)], check=lambda _, __: None, lands=lambda _: True
        )
        return change.kind if landed.commits else ""

    def roll_back(self, environment: str) -> None:
        self._make(environment, rollback(self.tools.repository, self.main(environment).plan, MODEL, environment))


def rendered_here(clone: Path, environment: str) -> None:
    """By this process, whose code the remote holds too: a process for each of so many steps takes a minute."""
    write(clone, environment, render(load_inputs(clone, environment)))


def own_tree(remote: Remote, environment: str, commit: str) -> dict[str, bytes]:
    slug = model_slug(MODEL)
    routes = f"gitops/{environment}/gateway/routes.d/{slug}.yaml"
    return remote.files(plan_path(environment, MODEL), f"gitops/{environment}/{slug}", routes, commit=commit)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(1200)
def test_a_rollback_gives_back_the_tree_of_an_earlier_commit_and_touches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(proposals, "render_with_own_code", rendered_here)
    remote = Remote(tmp_path, plant_clusters)
    company = Company(remote, tmp_path)
    company.stable(promotable(100), *CLUSTERS)
    story = Story(company, seed)
    tried = [story.step() for _ in range(STEPS)]
    assert {"release", "admit", "promote"} <= set(tried), tried
    rolled = 0
    for environment in CLUSTERS:
        before = remote.head
        with story.tools.repository.history() as history:
            past = list(plans(history, environment, MODEL))
        commits, at_work = [at.commit for at in past], past[0].canary_at_work
        try:
            story.roll_back(environment)
        except NexusError:
            continue  # one release alone has been stable there
        rolled += 1
        now = own_tree(remote, environment, "main")
        assert any(now == own_tree(remote, environment, commit) for commit in commits)
        assert now != own_tree(remote, environment, before)
        for other in set(CLUSTERS) - {environment}:
            assert own_tree(remote, other, "main") == own_tree(remote, other, before)
        if not at_work:
            story.roll_back(environment)
            assert own_tree(remote, environment, "main") == own_tree(remote, environment, before), "and forward again"
    assert rolled, tried
