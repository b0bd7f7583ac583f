"""MLflow on this machine: one worker, one SQLite file, artifacts through its own proxy, on loopback only."""

from __future__ import annotations

import sys
from pathlib import Path

from nexus_release.local.processes import Program

PORT = 5000
"""MLflow's own default, so that its documentation applies."""


def mlflow_server_program(folder: Path, port: int) -> Program:
    """Everything is kept below `folder`, which is made."""
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    return Program(
        name="mlflow",
        argv=(
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(folder / "artifacts")),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ),
        environment={
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else eight more processes and 800 MB
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONDONTWRITEBYTECODE": "",  # an unset bytecode cache costs 15 s at every start
        },
    )
