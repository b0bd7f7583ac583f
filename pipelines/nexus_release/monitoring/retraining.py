"""A release on this machine as what follows drift, where no Airflow is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nexus_release.errors import BadInput
from nexus_release.journal import write_whole
from nexus_release.release import Listener, Release, run_release
from nexus_release.spec import Ask, asked_for, read_spec
from nexus_release.wiring import Tools


@dataclass
class ReleaseHere:
    """The port `DriftEvents`."""

    spec: Path
    ask: Ask
    tools: Tools
    listener: Listener | None
    done: list[Release] = field(default_factory=list)

    def knows(self, model: str, report: str) -> bool:
        """Never: a release that is run again goes on from its journal, and is the same proposal."""
        return False

    def tell(self, model: str, extra: Mapping[str, str]) -> None:
        if (named := read_spec(self.spec).model) != model:
            raise BadInput(f"{self.spec}: model", named, f"drift is that of {model}; give its release file")
        ask = replace(self.ask, dataset=extra.get("dataset"), reason=extra["report"])
        self.done.append(run_release(asked_for(self.spec, ask), self.tools, self.listener))


class FlaggedRelease:
    """The port `DriftEvents` as a file `due`, for an engine that makes the release where it says true."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "due"
        write_whole(self._file, "false")

    def knows(self, model: str, report: str) -> bool:
        """Never: one that dies here has told nobody."""
        return False

    def tell(self, model: str, extra: Mapping[str, str]) -> None:
        write_whole(self._file, "true")
