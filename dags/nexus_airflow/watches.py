"""`watches.yaml`: what Airflow looks at by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from nexus_release.documents import parse_yaml, validated
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, Line, ModelName


class Watch(Frozen):
    """One DAG."""

    watch: Literal["canary", "drift"]
    model: ModelName
    environment: EnvironmentName
    schedule: Line
    """Cron, in UTC."""
    decisions: Line = ""
    """Of drift: folder of the gateways' decision logs, from the repository's root."""

    @model_validator(mode="after")
    def _logged(self) -> Watch:
        if (self.watch == "drift") != bool(self.decisions):
            raise ValueError("decisions names the logs that drift is looked for in; a canary has none")
        return self


class _Watches(Frozen):
    watches: tuple[Watch, ...]


def read_watches(path: Path) -> tuple[Watch, ...]:
    """Raises BadInput that names the field, which Airflow shows as the file's import error."""
    document = {"watches": parse_yaml(path.read_bytes(), path.name) or ()}
    return validated(_Watches, document, lambda _: path.name).watches
