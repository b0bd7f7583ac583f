"""The pull request of a branch that waits for people: its text, and how it comes to be open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nexus_release.errors import NexusError, Unreachable
from nexus_release.evidence.pull_request import pull_request_text
from nexus_release.manifests.changes import changed_paths
from nexus_release.plan import Pointer
from nexus_release.ports import Commit, Forge, Opened
from nexus_release.promotion.evidence import asked_of


def review_text(
    before: Path,
    after: Path,
    environment: str,
    model: str,
    pointer: Pointer,
    commits: Sequence[Commit],
    report: str = "",
) -> str:
    """Of `commits`, which it makes in `after`; the last one's message is the title. Empty where they change nothing.
    `report`: the one of `nexus-gateway simulate`."""
    for commit in commits:
        commit.edit(after)
    if not changed_paths(before, after):
        return ""
    return pull_request_text(asked_of(before, after, environment, model, pointer, commits[-1].message), report)


def open_review(forge: Forge, branch: str, title: str, text: str) -> Opened:
    """The branch's own pull request, whose text follows it. Raises Unreachable where trying again may help, else
    NexusError; the branch stays."""
    try:
        return forge.propose(branch, title, text)
    except NexusError as error:
        kind = Unreachable if error.retry else NexusError
        raise kind(f"{branch} is pushed, and its pull request is not open: {error}; run it again") from None
