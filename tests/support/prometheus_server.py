"""A real Prometheus that scrapes what a test names, and answers queries."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import yaml

from .gateway import PLAIN, free_port, until


class Prometheus:
    """Scrapes each target once a second, with the labels that the test gives it."""

    def __init__(
        self, folder: Path, targets: Mapping[int, Mapping[str, str]], more: Mapping[str, object] | None = None
    ) -> None:
        """`more` of the configuration: rules, and who is told."""
        job = {
            "job_name": "made-up",
            "honor_labels": False,
            "static_configs": [
                {"targets": [f"127.0.0.1:{port}"], "labels": dict(labels)} for port, labels in targets.items()
            ],
        }
        config = folder / "prometheus.yaml"
        config.write_text(
            yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job], **(more or {})})
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    prometheus_program(),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'series'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        until(self._ready, "Prometheus answers", 60)

    def query(self, text: str) -> list[float]:
        """The values of an instant query, in the order of the answer. A text that is no PromQL is an error."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": text}, verify=PLAIN)
        assert answer.status_code == 200, answer.text
        return [float(series["value"][1]) for series in answer.json()["data"]["result"]]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _ready(self) -> bool:
        assert self.process.poll() is None, "Prometheus has ended"
        try:
            return httpx.get(f"{self.url}/-/ready", verify=PLAIN).status_code == 200
        except httpx.TransportError:
            return False


def prometheus_program() -> str:
    if found := shutil.which("prometheus"):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("prometheus is not here: run `make services`")
    pytest.skip("prometheus is not here (`make services` installs it)")
