"""How a release on Kubeflow Pipelines has ended, by whatever word the server has for it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from nexus_kfp.inside import run_summary, trouble_file
from nexus_release.graph import NODES

from ..support.kfp_home import NEXUS
from ..support.repository import ROOT
from .conftest import bad_spec, on_the_laptop
from .engines import params


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("SUCCEEDED", "refused"),
        ("COMPLETE", "refused"),
        ("RUNNING", "refused"),
        ("FAILED", "failed"),
        ("CANCELED", "failed"),
    ],
)
def test_the_summary_takes_every_servers_word(
    state: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _summed_up(state, tmp_path, monkeypatch, ran=True)
    assert json.loads(path.read_bytes())["outcome"] == outcome


def test_a_step_that_has_left_nothing_is_told_of_where_the_server_says_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = json.loads(_summed_up("RUNNING", tmp_path, monkeypatch, ran=False).read_bytes())
    assert (summary["outcome"], summary["reason"]) == ("failed", "validate: it has left no result")


def test_what_failed_is_told_once_and_not_of_the_next_run_that_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _summed_up("RUNNING", tmp_path, monkeypatch, ran=False)
    asked = params(tmp_path / "chat.yaml", ROOT, "local", {})
    trouble_file(asked, "propose").write_text("the remote is away")
    told = [json.loads(_summed_up("FAILED", tmp_path, monkeypatch, ran=False).read_bytes()) for _ in range(2)]
    assert [one["reason"] for one in told] == [
        "propose: the remote is away",
        "a task was stopped, or ran out of time or memory",
    ]


def _summed_up(state: str, folder: Path, patch: pytest.MonkeyPatch, ran: bool) -> Path:
    """By what a task runs, as a server calls it, of a release that the first gate has refused or that never `ran`."""
    spec, work = bad_spec(folder), folder / "work"
    if ran:
        on_the_laptop(spec, ROOT, {"NEXUS_STATE": str(work)})
    patch.setenv("NEXUS_WORK", work.as_uri())
    patch.setenv("NEXUS_BIN", str(NEXUS))
    page, text = (SimpleNamespace(path=str(folder / name)) for name in ("page", "text"))
    run_summary(params(spec, ROOT, "local", {}), state, "", [*NODES], page, text)
    (summary,) = work.glob("runs/*/summary.json")
    return summary
