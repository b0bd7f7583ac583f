"""Retrains models on a schedule and when their data drifts: an Airflow DAG for each entry of releases.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_airflow.releases import read_entries
from nexus_airflow.retraining import retraining_dag

HERE = Path(__file__).resolve().parent
ROOT = Path(os.environ.get("NEXUS_ROOT", HERE.parent))

for entry in read_entries(HERE / "releases.yaml"):
    retraining_dag(entry, ROOT)  # a DAG that is made while a file is parsed is that file's
