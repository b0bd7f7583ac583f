"""A real Prometheus that scrapes what a test names, and answers queries."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from nexus_release.local.free_ports import free_port

from .gateway import PLAIN, until

ITSELF = {"job": "prometheus"}


class Prometheus:
    """Scrapes each target once a second, with the labels that the test gives it."""

    def __init__(
        self,
        folder: Path,
        targets: Mapping[int, Mapping[str, str]],
        more: Mapping[str, object] | None = None,
        *,
        itself: bool = False,
    ) -> None:
        """`more` of the configuration: rules, and who is told. `itself` is scraped too where that is asked for."""
        port = free_port()
        scraped = {**targets, **({port: ITSELF} if itself else {})}
        job = {
            "job_name": "made-up",
            "honor_labels": False,
            "static_configs": [
                {"targets": [f"127.0.0.1:{at}"], "labels": dict(labels)} for at, labels in scraped.items()
            ],
        }
        config = folder / "prometheus.yaml"
        config.write_text(
            yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job], **(more or {})})
        )
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
        return [float(series["value"][1]) for series in self._asked("query", {"query": text})["result"]]

    def labelled(self, text: str, label: str) -> set[str]:
        """The label's values in the answer to an instant query."""
        return {series["metric"][label] for series in self._asked("query", {"query": text})["result"]}

    def label_values(self, series: str, label: str) -> list[str]:
        """Sorted."""
        found: list[str] = self._asked(f"label/{label}/values", {"match[]": series})
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _asked(self, path: str, given: Mapping[str, str]) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=given, verify=PLAIN)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

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
