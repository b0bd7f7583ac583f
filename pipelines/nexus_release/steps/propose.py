"""Carries a release to the Git remote as a branch, and lands it where the environment says so; where people decide, the
branch gets its pull request, if a forge is known."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nexus_release.digests import Digest, HexId, digest_bytes
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.plan import Pointer
from nexus_release.ports import Commit
from nexus_release.promotion.review import open_review, review_text
from nexus_release.proposals import admission, admission_branch, land_or_leave, two_checkouts
from nexus_release.record import parse_content
from nexus_release.recording import record_file
from nexus_release.trust.signed import prove_accepted
from nexus_release.wiring import Tools


class ProposeIn(Frozen):
    environment: EnvironmentName
    model: ModelName
    release: HexId
    content: str
    diff: Digest
    """What `render` has shown. Nothing is proposed that nobody can look at."""
    reason: Digest | None = None
    """The drift report that asks for the release; a trailer of the commit that admits it."""


class ProposeOut(Frozen):
    branch: str
    landed: bool
    """True where the environment merges by itself (local), or the change was already on main."""
    pull_request: str | None = None
    """Its URL; null where none is needed, or the remote is on no forge that a token is given for."""


def propose(given: ProposeIn, tools: Tools) -> ProposeOut:
    """Never forces. Raises Conflict, RemoteRefused or Unreachable, and then nothing has changed; Missing where the
    registry does not know the release, or the store has lost the diff; SignatureRefused or DigestMismatch where nobody
    whom main's settings trust at that moment has signed just these bytes. Where the forge says no the branch is there
    without its pull request, and the step fails: run again, it finds both."""
    tools.store.get(given.diff)
    with tempfile.TemporaryDirectory(prefix="nexus-main-") as main:
        base = tools.repository.checkout(Path(main))
        record = record_file(given.content, given.environment, tools, Path(main), base)
    branch = admission_branch(given.environment, given.model, given.release)
    commits = admission(given.environment, given.model, given.release, record, given.reason)

    def signed(main: Path) -> None:
        prove_accepted(parse_content(given.content), main, given.environment, tools.store, tools.signatures)

    done = land_or_leave(tools.repository, given.environment, branch, commits, admits=signed)
    tools.notes.update(branch=branch, commits=" ".join(done.commits))
    opened = None if done.landed else _reviewed(given, branch, commits, digest_bytes(record), tools)
    return ProposeOut(branch=branch, landed=done.landed, pull_request=opened)


def _reviewed(given: ProposeIn, branch: str, commits: Sequence[Commit], record: Digest, tools: Tools) -> str | None:
    """Where the branch waits."""
    forge, pointer = tools.forge, Pointer(release=given.release, record=record)
    if forge is None:
        return None
    with two_checkouts(tools.repository) as (_, before, after):
        text = review_text(before, after, given.environment, given.model, pointer, commits)
    return open_review(forge, branch, commits[-1].message, text).url
