"""The last act of the demo, on a made-up release: from this machine to dev, staging and prod by changes that are
proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_release.demo.environments import CHAIN, admit, expect_everywhere, promote_to, trust_this_machine
from nexus_release.demo.narrator import Narrator
from nexus_release.demo.stage import Stage, short_scale
from nexus_release.plan import admitted, read_plan
from nexus_release.record import release_id
from nexus_release.wiring import Connections, Tools

from ..support.promotable import MODEL, promotable
from ..support.releases import keep_signed
from ..support.remotes import Remote, plant_house

ONE = promotable(1)


@pytest.mark.timeout(900)
def test_the_release_that_is_stable_here_reaches_prod_and_each_step_is_proved(tmp_path: Path) -> None:
    remote = Remote(tmp_path, plant_house)
    tools = Tools(Connections(work=(tmp_path / "work").as_uri(), registry="", remote=str(remote.path)))
    keep_signed(ONE.content, tools)
    remote.plan(admitted(None, MODEL, remote.record(ONE)), "stable here", "local")
    stage = Stage(tmp_path, tmp_path / "work", short_scale(), tools)
    say, release = Narrator(tmp_path / "story.md"), release_id(ONE.content)

    with say.act("The same release goes to dev, staging and prod"):
        trust_this_machine(stage, say)
        admit(stage, say, release)
        promote_to(stage, say, "staging", show=True)
        promote_to(stage, say, "prod", show=False)
        expect_everywhere(stage, say, release)

    remote.pull()
    plans = [read_plan(remote.clone, environment, MODEL) for environment in CHAIN]
    assert [plan.stable.release if plan else "" for plan in plans] == [release] * 3
    assert list(remote.refs()) == ["main"], "what was proved has landed"
    story = (tmp_path / "story.md").read_text()
    assert story.count("| passed below | holds |") == 3
    assert story.count("| signatures | holds |") == 3
    assert "Approvals needed: 2" in story
    assert "no cluster is here" in story
