"""What is declared of data: held by `validate`, by whatever is rendered and by what lands; kept in the record."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nexus_release.data_declaration import Declaration, expired
from nexus_release.documents import yaml_text
from nexus_release.errors import BadInput
from nexus_release.evidence.data import data_page
from nexus_release.evidence.markdown import markdown_text
from nexus_release.manifests.changes import refusals
from nexus_release.manifests.tree import load_inputs
from nexus_release.plan import Plan, admitted, plan_path, plan_text, shifted
from nexus_release.proof.records import in_time
from nexus_release.record import Record
from nexus_release.spec import read_spec
from nexus_release.steps.validate import DataGate, ValidateIn, ValidateOut, validate
from nexus_release.wiring import Connections, Tools

from ..support.datasets import chat, rows
from ..support.releases import DECLARED, make_pointer, make_record, plant_environments, plant_plan, plant_record
from ..support.repository import ROOT

MODEL = "pydoc-chat"
PAST = DECLARED.model_copy(update={"delete_after": date(2020, 2, 29)})
ONLY_DEV = DECLARED.model_copy(update={"access": ("dev",)})


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=(tmp_path / "work").as_uri(), registry="http://127.0.0.1:9", remote="none"))


def given(tmp_path: Path, declared: Declaration | None, data: bytes = b"", **gate: Any) -> ValidateIn:
    path = tmp_path / "data.jsonl"
    path.write_bytes(rows(40) + data)
    bounds = DataGate(**{"min_rows": 1, "holdout_share": 0.2, "declaration": "required", **gate})
    return ValidateIn(model="m", environment="staging", dataset=str(path), declaration=declared, gate=bounds)


def judged(tools: Tools, asked: ValidateIn) -> tuple[bool, str]:
    out = validate(asked, tools)
    return out.accepted, out.reason


def test_declared_data_is_accepted_where_it_is_demanded(tools: Tools, tmp_path: Path) -> None:
    assert judged(tools, given(tmp_path, DECLARED, purpose="support"))[0]


def test_undeclared_data_is_accepted_only_where_nothing_is_demanded(tools: Tools, tmp_path: Path) -> None:
    accepted, reason = judged(tools, given(tmp_path, None))
    assert (accepted, reason[:40]) == (False, "nothing is declared of the data, and sta")
    assert judged(tools, given(tmp_path, None, declaration="optional"))[0]


@pytest.mark.parametrize("demand", ["required", "optional"])
@pytest.mark.parametrize(
    ("declared", "gate", "reason"),
    [
        (ONLY_DEV, {}, "the data may not be used in staging: its access is dev"),
        (DECLARED, {"purpose": "marketing"}, "staging serves marketing, and the data may be used for support only"),
        (PAST, {}, "the data had to be deleted after 2020-02-29; take newer data"),
    ],
    ids=["access", "purpose", "retention"],
)
def test_what_a_declaration_forbids_is_refused_whatever_is_demanded(
    tools: Tools, tmp_path: Path, declared: Declaration, gate: dict[str, Any], reason: str, demand: str
) -> None:
    assert judged(tools, given(tmp_path, declared, **{"declaration": demand, **gate})) == (False, reason)


def test_personal_data_that_is_kept_must_have_been_declared(tools: Tools, tmp_path: Path) -> None:
    row = chat(99, "Who is it?", "Write to ada@acme" + ".org.")
    accepted, reason = judged(tools, given(tmp_path, DECLARED, row, pii="allow"))
    assert (accepted, reason[-10:]) == (False, "email in 1")
    assert judged(tools, given(tmp_path, DECLARED, row, pii="refuse"))[0], "the row itself is refused"
    declared = DECLARED.model_copy(update={"contains_personal_data": True})
    assert judged(tools, given(tmp_path, declared, row, pii="allow"))[0]


def test_the_last_day_is_a_day_on_which_data_may_be_kept() -> None:
    assert [expired(PAST, date(2020, 2, 28)), expired(PAST, date(2020, 2, 29)), expired(PAST, date(2020, 3, 1))] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contains_personal_data": True, "delete_after": None}, "personal data is kept for a stated time only"),
        ({"purposes": ()}, "purposes"),
        ({"access": ()}, "access"),
        ({"access": ("Staging",)}, "access"),
        ({"owner": ""}, "owner"),
        ({"licence": "MIT\nno"}, "one line of printable characters"),
        ({"delete_after": "soon"}, "delete_after"),
        ({"retention": 3}, "retention"),
    ],
)
def test_a_declaration_that_says_nothing_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Declaration.model_validate({**DECLARED.model_dump(), **change})


def test_the_release_file_of_this_repository_declares_its_data(tmp_path: Path) -> None:
    asked = read_spec(ROOT / "pipelines" / "specs" / "pydoc-chat.yaml")
    assert asked.data is not None
    assert asked.data.licence == "PSF-2.0"
    path = tmp_path / "spec.yaml"
    path.write_text(yaml_text({"model": "m", "dataset": "d", "data": {"owner": "me"}}))
    with pytest.raises(BadInput, match=r"data\.source.*is missing"):
        read_spec(path)


def planted(root: Path, declared: Declaration | None, environment: str = "staging") -> Plan:
    """A repository whose environment names a release of such data; nothing is rendered."""
    plant_environments(root)
    plan = admitted(None, MODEL, plant_record(root, make_record(MODEL, 1, declared=declared)))
    path = root / plan_path(environment, MODEL)
    path.parent.mkdir(parents=True)
    path.write_text(plan_text(plan))
    return plan


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (None, "nothing is declared of the data, and staging demands it"),
        (ONLY_DEV, "the data may not be used in staging: its access is dev"),
    ],
)
def test_nothing_is_rendered_of_data_that_may_not_be_there(
    tmp_path: Path, declared: Declaration | None, words: str
) -> None:
    planted(tmp_path, declared)
    with pytest.raises(BadInput, match=words):
        load_inputs(tmp_path, "staging")


def test_an_environment_s_purpose_is_held_when_it_is_rendered(tmp_path: Path) -> None:
    planted(tmp_path, DECLARED)
    load_inputs(tmp_path, "staging")
    file = tmp_path / "environments" / "staging" / "settings.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["gates"]["data"] = {"purpose": "marketing"}
    file.write_text(yaml_text(settings))
    with pytest.raises(BadInput, match="staging serves marketing"):
        load_inputs(tmp_path, "staging")


def test_past_its_retention_nothing_enters_and_what_is_there_may_still_move(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    plant_environments(before)
    one = plant_record(before, make_record(MODEL, 1, declared=PAST))
    plant_plan(before, "dev", admitted(None, MODEL, one))
    shutil.copytree(before, after)
    two = plant_record(after, make_record(MODEL, 2, declared=PAST))
    entered = admitted(admitted(None, MODEL, one), MODEL, two)
    plant_plan(after, "dev", entered)
    (refused,) = refusals(before, after, "dev")
    assert refused.endswith(f"release {two.release}: its data had to be deleted after 2020-02-29")
    shutil.rmtree(before)
    shutil.copytree(after, before)
    plant_plan(after, "dev", shifted(entered, two.release, 20))
    assert refusals(before, after, "dev") == ()


def test_a_promotion_to_where_the_data_may_not_go_is_refused(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    planted(before, ONLY_DEV, "dev")
    shutil.copytree(before, after)
    (after / "environments" / "prod" / "models").mkdir()
    shutil.copy(after / plan_path("dev", MODEL), after / plan_path("prod", MODEL))
    assert any("may not be used in prod" in line for line in refusals(before, after, "prod"))


def found_in_time(record: Record) -> tuple[str, str]:
    finding = in_time("the record", record)
    return finding.state, finding.detail


def test_whether_data_might_be_kept_when_the_record_was_made_is_verified() -> None:
    assert found_in_time(make_record(MODEL, 1))[0] == "holds"
    assert found_in_time(make_record(MODEL, 1, declared=None))[0] == "unproved"
    state, detail = found_in_time(make_record(MODEL, 1, declared=PAST))
    assert (state, detail) == ("lies", "made on 2026-01-01 of data that had to be deleted after 2020-02-29")


def test_what_is_declared_makes_another_release() -> None:
    assert make_pointer(make_record(MODEL, 1, declared=ONLY_DEV)).release != make_pointer(make_record(MODEL, 1)).release


def test_the_page_of_the_data_shows_what_is_declared(tools: Tools, tmp_path: Path) -> None:
    asked = given(tmp_path, DECLARED)
    out = validate(asked, tools)
    report = {"by_rule": {}, "failures": [], "duplicates": {"rows": 0}, "characters": {}}
    more = {"personal_data": {"policy": "refuse", "rows": {}}, "same_answer": {"times": 1, "of": 9, "share": 0.1}}
    text = markdown_text(data_page(asked, ValidateOut.model_validate(dict(out)), {**report, **more}))
    assert "| delete after | 9999-12-31 |" in text
    assert "| may be used in | local, dev, staging, prod |" in text
