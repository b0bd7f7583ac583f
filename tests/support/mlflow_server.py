"""One real MLflow server for the whole test session. Use the fixture `mlflow_server`: it is the server's URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from nexus_release.local.free_ports import free_port

if TYPE_CHECKING:
    from mlflow import MlflowClient

_START_SECONDS = 180.0  # ten on a quiet machine


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from nexus_release.local.mlflow_server import mlflow_server_program
    from nexus_release.local.processes import Process, wait_answering

    home = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    with Process.start(mlflow_server_program(home, port), home / "server.log") as server:
        wait_answering(server, f"http://127.0.0.1:{port}/health", _START_SECONDS)
        yield f"http://127.0.0.1:{port}"


def client_of(url: str) -> MlflowClient:
    """MLflow's own client, to see from outside what our adapter has written."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url, registry_uri=url)
