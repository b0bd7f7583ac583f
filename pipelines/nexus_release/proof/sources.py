"""The code that made a release: is it in main's history?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nexus_release.code import environment_digest, sources_digest
from nexus_release.digests import digest_bytes
from nexus_release.ports import History
from nexus_release.proof.finding import Finding, holds, unproved
from nexus_release.record import Record

PACKAGE = "pipelines/nexus_release"


class Sources:
    """The steps' code at each commit, read when it is first asked for."""

    def __init__(self, history: History) -> None:
        self._history, self._files = history, dict[str, Mapping[str, str]]()

    def commit_of(self, digest: str, likely: str) -> str | None:
        """The newest commit whose code has the digest; `likely` is looked at first."""
        changed = [one.hash for one in self._history.commits(PACKAGE)]
        first = [likely] if re.fullmatch("[0-9a-f]{40,64}", likely) else []  # a record may say anything there
        return next((commit for commit in (*first, *changed) if sources_digest(self.files(commit)) == digest), None)

    def files(self, commit: str) -> Mapping[str, str]:
        """Path under the package -> digest of every Python file."""
        if commit not in self._files:
            self._files[commit] = {
                path.removeprefix(f"{PACKAGE}/"): digest_bytes(self._history.file(commit, path) or b"")
                for path in self._history.paths(commit, PACKAGE)
                if path.endswith(".py")
            }
        return self._files[commit]


def code(record: Record, sources: Sources) -> Finding:
    """That no commit has the code is no lie: a laptop may release from a tree that it has not committed."""
    digest = record.content.code.steps
    commit = sources.commit_of(digest, record.observed.commit)
    if commit:
        return holds("code", digest, f"commit {commit[:12]} has it")
    why = "it ran from a working tree that was not committed" if record.observed.dirty else "no commit of main has it"
    return unproved("code", digest, why)


def packages(record: Record) -> Finding:
    digest = record.content.code.environment
    if digest == environment_digest():
        return holds("packages", digest, "as installed here")
    return unproved("packages", digest, "other packages, or another Python, than are installed here")
