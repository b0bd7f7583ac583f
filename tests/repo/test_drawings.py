"""The two stories' drawings in docs/architecture.md show what the code does, in its order."""

from __future__ import annotations

import re

from nexus_gateway import proxy
from nexus_gateway.errors import CONDITIONS
from nexus_release.graph import NODES

from ..support.repository import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STAGE = re.compile(r"^ ([a-z]+) (?: |─)", re.MULTILINE)


def drawing(heading: str) -> str:
    """The first of a section."""
    found = re.search(rf"^## {heading}\n.*?```text\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def test_the_release_s_steps_stand_in_their_order_and_those_that_may_refuse_say_so() -> None:
    drawn = drawing("A release, file by file")
    assert STAGE.findall(drawn) == [*NODES]
    refusing = [line.split()[0] for line in drawn.splitlines() if "refused" in line]
    assert refusing == [name for name, node in NODES.items() if "accepted" in node.step.gives.model_fields]


def test_the_request_s_stages_stand_in_their_order_with_statuses_that_there_are() -> None:
    drawn = drawing("A request, file by file")
    stages = STAGE.findall(drawn)
    told = (proxy.__doc__ or "").partition(".")[0]
    assert len(stages) == 6
    assert [word for word in re.findall(r"[a-z]+", told) if word in stages] == stages
    assert {int(status) for status in re.findall(r"\b[45]\d\d\b", drawn)} <= {one.status for one in CONDITIONS}
