"""Makes the pictures of the how-to: a real release by KFP's local runner, and what its artifacts look like.

`python -m tests.orchestrators.pictures INTO` (`make docs-pictures`): some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from nexus_release.demo.corpus import build
from nexus_release.local.free_ports import free_port
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.processes import Process, wait_answering

from ..support.browser import Browser
from ..support.kfp_home import KfpHome, KfpRun
from ..support.remotes import Remote, plant_house

_SPEC = "model: pydoc-chat\ndataset: pydoc.jsonl\ntrain:\n  steps: 120\nquantize:\n  scheme: FP8_DYNAMIC\n"
_SHOWN: list[tuple[str, Literal["light", "dark"]]] = [
    *(("validate", "light"), ("evaluate", "light"), ("render", "light"), ("summary", "light"), ("evaluate", "dark")),
]
_START_SECONDS = 180.0
_LONGEST_SECONDS = 3600.0


def main(into: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        run = _release(Path(folder))
        if run.status:
            print(run.said[-4000:])
            return 1
        into.mkdir(parents=True, exist_ok=True)
        with Browser(Path(folder)) as browser:
            for task, scheme in _SHOWN:
                picture = into / f"kfp-{task}{'-dark' if scheme == 'dark' else ''}.png"
                picture.write_bytes(browser.picture(browser.open(_html(run.folder / task, Path(folder)), scheme)))
                print(picture)
    return 0


def _release(folder: Path) -> KfpRun:
    (folder / "house").mkdir()
    remote = Remote(folder / "house", plant_house)
    build(folder / "kfp" / "pydoc.jsonl", 1)  # where the steps run
    (folder / "spec.yaml").write_text(_SPEC)
    port = free_port()
    with Process.start(mlflow_server_program(folder / "mlflow", port), folder / "mlflow.log") as server:
        url = f"http://127.0.0.1:{port}"
        wait_answering(server, f"{url}/health", _START_SECONDS)
        variables = {"MLFLOW_TRACKING_URI": url, "NEXUS_REMOTE": str(remote.path)}
        return KfpHome(folder / "kfp", variables).run(folder / "spec.yaml", seconds=_LONGEST_SECONDS)


def _html(task: Path, folder: Path) -> Path:
    """KFP's file has no ending, by which a browser knows what it is."""
    page = folder / f"{task.name}.html"
    page.write_bytes((task / "page").read_bytes())
    return page


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
