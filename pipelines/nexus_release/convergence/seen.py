"""What an environment says of itself, part by part. Values only; whoever asks is an adapter."""

from __future__ import annotations

from typing import Protocol

from nexus_release.frozen import Frozen


class Worker(Frozen):
    """One process of a replica of a gateway."""

    pid: int
    revision: str
    """That it serves."""
    refused: str = ""
    """The revision that it would not take last; empty where it took the last one."""
    reason: str = ""
    """Why."""


class Replica(Frozen):
    """One address of a gateway."""

    address: str
    workers: tuple[Worker, ...] = ()
    problem: str = ""
    """Why it, or one of its workers, does not say what it serves; empty where all do."""


class AppliedPart(Frozen):
    """A folder of an environment as whoever applies it has it."""

    by: str
    """An Application of Argo CD, or `nexus up`."""
    folder: str
    """Under the repository's root."""
    commit: str
    """Full hash of the commit that was applied last and whole; empty for none."""
    problem: str = ""
    """In the words of who applies it; empty where nothing is wrong."""
    mend: str = ""
    """What a person does where it is behind or has a problem."""
    services: tuple[str, ...] = ()
    """InferenceServices that run of this folder."""


class Applied(Protocol):
    """Whoever makes an environment what main says."""

    def parts(self, environment: str) -> tuple[AppliedPart, ...]:
        """Sorted by folder. Raises Unreachable, Missing or NexusError."""
