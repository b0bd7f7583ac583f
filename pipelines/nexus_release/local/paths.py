"""Where the laptop's cluster keeps what it writes, all of it below one folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def state_folder(environ: Mapping[str, str]) -> Path:
    """NEXUS_STATE, or `.nexus` in the current folder."""
    return Path(environ.get("NEXUS_STATE", ".nexus")).absolute()


@dataclass(frozen=True)
class Paths:
    home: Path
    """`.nexus`, absolute."""

    @property
    def local(self) -> Path:
        return self.home / "local"

    @property
    def state(self) -> Path:
        return self.local / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives, however it ends."""
        return self.local / "lock"

    @property
    def logs(self) -> Path:
        return self.local / "logs"

    @property
    def routes(self) -> Path:
        """A link to `routes-<commit>`, so that the gateway sees one commit's files or another's, never a mixture."""
        return self.local / "routes"

    @property
    def resolve(self) -> Path:
        return self.local / "resolve.json"

    @property
    def gateway(self) -> Path:
        """The gateway's own state: the last configuration that it took."""
        return self.local / "gateway"

    @property
    def decisions(self) -> Path:
        """The gateway's decision log, which `nexus drift` reads."""
        return self.local / "decisions"

    @property
    def shown(self) -> Path:
        """A link to `shown-<commit>`: what the gateway's console shows of Git."""
        return self.local / "shown"

    @property
    def mlflow(self) -> Path:
        return self.home / "mlflow"
