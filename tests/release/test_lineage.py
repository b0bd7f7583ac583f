"""`nexus lineage` and `nexus retention`: from data to who serves it, and what may no longer be kept."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nexus_release.cli import nexus
from nexus_release.data_declaration import Declaration
from nexus_release.plan import admitted, shifted
from nexus_release.record import Record, record_path

from ..support.releases import DECLARED, make_pointer, make_record
from ..support.remotes import Remote, plant_house

MODEL, OTHER = "pydoc-chat", "acme/Llama-4:8B@chat"
PAST = DECLARED.model_copy(update={"delete_after": date(2026, 3, 31)})


def made(model: str, seed: int, declared: Declaration | None = DECLARED, like: Record | None = None) -> Record:
    """`like`: a record whose dataset it shares."""
    record = make_record(model, seed, declared=declared)
    if like is None:
        return record
    dataset = record.content.dataset.model_copy(update={"digest": like.content.dataset.digest})
    content = record.content.model_copy(update={"dataset": dataset})
    return record.model_copy(update={"content": content})


ONE = made(MODEL, 1, PAST)
TWO = made(MODEL, 2)
THREE = made(OTHER, 1, DECLARED, like=ONE)
FOUR = made(OTHER, 2, None)
ONE_ID, TWO_ID, THREE_ID, FOUR_ID = (make_pointer(record).release for record in (ONE, TWO, THREE, FOUR))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """One model with a release past its retention at 80 % in local and all of dev; another made of the same rows."""
    remote = Remote(tmp_path_factory.mktemp("lineage"), plant_house)
    one, two, three = (remote.record(record) for record in (ONE, TWO, THREE))
    remote.record(FOUR)
    remote.plan(admitted(None, MODEL, one), "one", "dev")
    remote.plan(admitted(admitted(None, MODEL, one), MODEL, two), "entered")
    remote.plan(shifted(admitted(admitted(None, MODEL, one), MODEL, two), two.release, 20), "shifted")
    remote.plan(admitted(None, OTHER, three), "other")
    return remote


def run(remote: Remote, *words: str) -> Result:
    return CliRunner().invoke(nexus, [*words, "--remote", str(remote.path)])


def releases(remote: Remote, what: str) -> set[str]:
    done = run(remote, "lineage", what, "--json")
    assert done.exit_code == 0, done.output
    return {one["release"] for one in json.loads(done.stdout)}


def test_a_dataset_leads_to_every_release_that_was_made_of_it(remote: Remote) -> None:
    assert releases(remote, ONE.content.dataset.digest) == {ONE_ID, THREE_ID}
    assert releases(remote, ONE.content.dataset.source) == {ONE_ID}
    assert releases(remote, TWO.content.artifact.digest) == {TWO_ID}


def test_a_model_or_a_release_leads_back_to_its_data_and_on_to_who_serves_it(remote: Remote) -> None:
    assert releases(remote, MODEL) == {ONE_ID, TWO_ID}
    text = run(remote, "lineage", ONE_ID[:8]).output
    brought = remote.git("log", "--format=%H", "--", record_path(MODEL, ONE_ID))
    for part in (
        *(ONE.content.dataset.source, ONE.content.dataset.digest, ONE.content.base, ONE.content.artifact.digest),
        *("owner: the data team", "delete after: 2026-03-31", "models:/pydoc-chat/1", f"by commit {brought[:12]}"),
        *("served     in dev, stable, 100 %", "served     in local, stable, 80 %"),
    ):
        assert part in text
    assert "served     in local, canary, 20 %" in run(remote, "lineage", TWO_ID).output
    assert "served     nowhere" in run(remote, "lineage", FOUR_ID).output


@pytest.mark.parametrize("what", ["sha256:" + "0" * 64, "no-such-model", ONE_ID[:7], ""])
def test_what_made_nothing_is_missing(remote: Remote, what: str) -> None:
    done = run(remote, "lineage", what)
    assert done.exit_code == 1
    assert "main has no record of such" in str(done.exception)


def test_past_its_retention_a_release_is_told_with_what_serves_it_and_what_must_go(remote: Remote) -> None:
    done = run(remote, "retention", "--on", "2026-04-01", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    (due,) = found["due"]
    assert (due["release"], due["delete_after"], due["owner"]) == (ONE_ID, "2026-03-31", "the data team")
    assert [(one["environment"], one["role"], one["weight"]) for one in due["serving"]] == [
        ("dev", "stable", 100),
        ("local", "stable", 80),
    ]
    content = ONE.content
    assert due["shared"] == [content.dataset.digest], "another release, whose data may be kept, was made of these rows"
    assert {content.base, content.artifact.digest, content.gate("quality").evidence} <= set(due["entries"])
    assert due["registered"] == "models:/pydoc-chat/1"
    assert found["undeclared"] == [FOUR_ID]


def test_an_environment_is_told_of_what_it_serves_alone(remote: Remote) -> None:
    assert run(remote, "retention", "--on", "2026-04-01", "--env", "dev").exit_code == 1
    none = run(remote, "retention", "--on", "2026-04-01", "--env", "prod")
    assert (none.exit_code, none.output) == (0, "0 releases are past the retention of their data on 2026-04-01\n")


def test_on_its_last_day_data_may_be_kept(remote: Remote) -> None:
    done = run(remote, "retention", "--on", "2026-03-31")
    assert done.exit_code == 0
    assert done.output.endswith("0 releases are past the retention of their data on 2026-03-31\n")
    assert f"1 releases declare nothing of their data: {FOUR_ID}" in done.output


def test_people_read_what_to_do_line_by_line(remote: Remote) -> None:
    text = run(remote, "retention", "--on", "2026-04-01").output
    assert f"{MODEL} {ONE_ID}: its data had to be deleted after 2026-03-31; the data team answers for it" in text
    assert "  serves   in local, stable, 80 % of the traffic: take it from the plan first" in text
    assert f"  keep     {ONE.content.dataset.digest}, which another release also has" in text
    assert f"  delete   {ONE.content.artifact.digest}" in text


def test_a_record_that_is_not_what_it_says_is_refused(remote: Remote, tmp_path: Path) -> None:
    later = Remote.copied(remote, tmp_path)
    path = record_path(MODEL, ONE_ID)
    later.commit({path: later.file(path).decode().replace("2026-03-31", "2036-03-31")})
    done = run(later, "retention", "--on", "2026-04-01")
    assert done.exit_code == 1
    assert ONE_ID in str(done.exception)
