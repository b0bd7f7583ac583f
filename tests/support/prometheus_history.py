"""A real Prometheus over a history that a test has written. It scrapes nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from nexus_release.local.free_ports import free_port

from .gateway import until
from .prometheus_server import prometheus_program


def promtool() -> str:
    """Comes with Prometheus."""
    prometheus_program()
    return shutil.which("promtool") or "promtool"


def sample(name: str, labels: Mapping[str, str], value: float, time: int) -> str:
    """A line of OpenMetrics; `time` is Unix time."""
    told = ",".join(f'{label}="{said}"' for label, said in labels.items())
    return f"{name}{{{told}}} {value} {time}"


class PrometheusHistory:
    def __init__(self, folder: Path, samples: Iterable[str]) -> None:
        """`samples` in any order."""
        self._folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "history.txt").write_text("\n".join((*sorted(samples, key=_family_then_time), "# EOF\n")))
        command = [promtool(), "tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (folder / "prometheus.yaml").write_text("scrape_configs: []\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> PrometheusHistory:
        command = [
            prometheus_program(), "--config.file=prometheus.yaml", "--storage.tsdb.path=data",
            "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        until(self._ready, "Prometheus answers")
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.HTTPError:
            return False


def _family_then_time(line: str) -> tuple[str, int]:
    return line.partition("{")[0], int(line.rpartition(" ")[2])
