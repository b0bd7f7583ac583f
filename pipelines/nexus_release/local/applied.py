"""What `nexus up` has applied on this machine."""

from __future__ import annotations

from pathlib import Path

from nexus_release.convergence.seen import AppliedPart
from nexus_release.errors import Missing
from nexus_release.local.control import running
from nexus_release.local.paths import Paths
from nexus_release.manifests.tree import tree_path


class LaptopApplied:
    """The port `Applied`."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def parts(self, environment: str) -> tuple[AppliedPart, ...]:
        state = running(self._home)
        if state is None:
            raise Missing("nothing runs here: run `nexus up`")
        return (
            AppliedPart(
                by="nexus up",
                folder=tree_path(environment),
                commit=state.applied,
                problem=state.last_problem,
                mend=f"it follows main by itself, and {Paths(self._home).logs / 'nexus-up.log'} says what it does",
                services=tuple(sorted(engine.service for engine in state.engines)),
            ),
        )
