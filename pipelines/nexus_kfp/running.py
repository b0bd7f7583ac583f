"""Runs the pipeline on this machine by KFP's own local runner: no server, no cluster, the same tasks."""

from __future__ import annotations

from pathlib import Path

from kfp import local

from nexus_kfp.pipeline import release_pipeline
from nexus_kfp.places import Laptop


def run_here(params: str, work: str, into: Path) -> None:
    """What people see in KFP's UI is left below `into`. Raises RuntimeError where a task has failed; the summary is
    written then too."""
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(into))
    release_pipeline(Laptop(work))(params=params)
