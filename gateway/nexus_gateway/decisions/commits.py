"""Which commit of a repository has the route files of a revision."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.snapshot import Snapshot, build, revision

_SECONDS = 60.0  # for one call of git
_FIRST_BYTE = 10.0  # seconds; deadlines decide nothing here


@dataclass(frozen=True)
class Commits:
    repository: Path
    path: str
    """Of the folder of route files, from the repository's root."""
    _blobs: dict[str, bytes] = field(default_factory=dict, repr=False)
    """By their digest: from commit to commit most files stay as they were."""

    def __post_init__(self) -> None:
        if not self.path.strip("/") or self.path.startswith(("/", ":")) or ".." in self.path.split("/"):
            raise ConfigRefused(f"--path {self.path!r}: write a folder below the repository's root")

    def of_revisions(self, wanted: Collection[str]) -> dict[str, Snapshot]:
        """Those that HEAD's history has; the newest commit of each."""
        found: dict[str, Snapshot] = {}
        for commit in self._history():
            files = self._files(commit)
            if (brought := revision(files)) in wanted and brought not in found:
                found[brought] = build(files, {}, _FIRST_BYTE)
                if len(found) == len(wanted):
                    break
        return found

    def at(self, commit: str) -> Snapshot:
        """Raises ConfigRefused where there is no such commit, or its routes are bad."""
        named = self._git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
        files = self._files(named.decode().strip())
        if not files:
            raise ConfigRefused(f"{self.repository}: commit {commit} has no route files in {self.path}")
        return build(files, {}, _FIRST_BYTE)

    def _history(self) -> Iterator[str]:
        yield from (
            self._git("log", "--full-history", "--format=%H", "HEAD", "--", f":(top,literal){self.path}")
            .decode()
            .split()
        )

    def _files(self, commit: str) -> dict[str, bytes]:
        """Base name -> bytes, as the gateway reads a folder; none where the commit does not have it."""
        listed = self._git("ls-tree", "--full-tree", "-z", commit, "--", f"{self.path.rstrip('/')}/")
        files: dict[str, bytes] = {}
        for entry in filter(None, listed.split(b"\0")):
            about, _, name = entry.partition(b"\t")
            _, kind, digest = about.decode().split()
            base = os.fsdecode(name).rpartition("/")[2]
            if kind == "blob" and base.endswith(".yaml"):
                files[base] = self._blob(digest)
        return files

    def _blob(self, digest: str) -> bytes:
        if digest not in self._blobs:
            self._blobs[digest] = self._git("cat-file", "blob", digest)
        return self._blobs[digest]

    def _git(self, *words: str) -> bytes:
        command = ["git", "-C", str(self.repository), "--no-replace-objects", *words]
        plain = {name: value for name, value in os.environ.items() if not re.match(r"GIT_", name)}
        try:
            done = subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS, env=plain)
        except FileNotFoundError:
            raise ConfigRefused("git is not installed here") from None
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or b""
            raise ConfigRefused(f"{self.repository}: git {words[0]}: {said.decode(errors='replace').strip()}") from None
        return done.stdout
