"""Writes the dashboards in which people choose the environment: `write_dashboards.py FOLDER`, as JSON, one a file.

For a Grafana that reads them from a folder (ops/grafana/provisioning). Those of an environment are in
gitops/<env>/dashboards, by `nexus render`, from the same source.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nexus_release.config import load_settings
from nexus_release.dashboards.boards import BOARDS, scope_of_all
from nexus_release.dashboards.grafana import document

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = "local"
"""Whose links and currency they have."""


def main(folder: Path) -> None:
    scope = scope_of_all(load_settings(ROOT, SETTINGS))
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {path.name for path in folder.glob("*.json")} - {f"{name}.json" for name in BOARDS}:
        (folder / stale).unlink()
    for name, board in BOARDS.items():
        (folder / f"{name}.json").write_text(document(board(scope), scope))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
