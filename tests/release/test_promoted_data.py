"""`nexus promote` takes no model to where its data may not be used, nor in after the data's last day."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from nexus_release.record import Record

from ..support.promotable import MODEL, Company, plant_clusters, promotable
from ..support.releases import DECLARED
from ..support.remotes import Remote

NEXUS = Path(sys.executable).parent / "nexus"


def declaring(**changes: object) -> Record:
    record = promotable(1)
    declared = DECLARED.model_copy(update=changes)
    dataset = record.content.dataset.model_copy(update={"declaration": declared})
    return record.model_copy(update={"content": record.content.model_copy(update={"dataset": dataset})})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote(tmp_path_factory.mktemp("house"), plant_clusters)


def promoted(house: Remote, folder: Path, record: Record) -> tuple[subprocess.CompletedProcess[str], Company]:
    company = Company(Remote.copied(house, folder), folder)
    company.stable(record, "dev")
    where = {"NEXUS_REMOTE": company.connections.remote, "NEXUS_WORK": company.connections.work}
    words = [NEXUS, "promote", MODEL, "--from", "dev", "--to", "staging"]
    return subprocess.run(words, env={**os.environ, **where}, capture_output=True, text=True), company


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"access": ("dev",)}, "the data may not be used in staging: its access is dev"),
        ({"delete_after": date(2020, 2, 29)}, "its data had to be deleted after 2020-02-29"),
    ],
    ids=["access", "retention"],
)
def test_what_the_declaration_forbids_stays_below(
    house: Remote, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    done, company = promoted(house, tmp_path, declaring(**changes))
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert [*company.remote.refs()] == ["main"], "no branch was left"


def test_what_it_allows_comes_in(house: Remote, tmp_path: Path) -> None:
    done, company = promoted(house, tmp_path, declaring())
    assert done.returncode == 0, done.stderr
    assert len(company.remote.refs()) == 2
