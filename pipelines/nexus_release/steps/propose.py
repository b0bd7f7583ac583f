"""Carries a rendered release to the Git remote as a branch, and lands it where the environment says so."""

from __future__ import annotations

from nexus_release.digests import Digest, HexId
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, ModelName
from nexus_release.proposals import admission, admission_branch, land_or_leave
from nexus_release.wiring import Tools


class ProposeIn(Frozen):
    environment: EnvironmentName
    model: ModelName
    release: HexId
    record: Digest


class ProposeOut(Frozen):
    branch: str
    landed: bool
    """True where the environment merges by itself (local), or the change was already on main."""


def propose(given: ProposeIn, tools: Tools) -> ProposeOut:
    """Never forces. Raises Conflict, RemoteRefused or Unreachable, and then nothing has changed."""
    record = (tools.store.get(given.record) / "record.json").read_bytes()
    branch = admission_branch(given.environment, given.model, given.release)
    commits = admission(given.environment, given.model, given.release, record)
    done = land_or_leave(tools.repository, given.environment, branch, commits)
    tools.notes.update(branch=branch, commits=" ".join(done.commits))
    return ProposeOut(branch=branch, landed=done.landed)
