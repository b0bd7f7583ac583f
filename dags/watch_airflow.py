"""Steps canaries and looks for drift by the clock: an Airflow DAG for each entry of watches.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_airflow.watches import read_watches
from nexus_airflow.watching import watching_dag

HERE = Path(__file__).resolve().parent
ROOT = Path(os.environ.get("NEXUS_ROOT", HERE.parent))

for watch in read_watches(HERE / "watches.yaml"):
    watching_dag(watch, ROOT)  # a DAG that is made while a file is parsed is that file's
