"""Every error that Nexus raises on purpose.

NexusError                  exit 1, not retried
├── BadInput                exit 2: names the field, the value and the mend
├── MissingExtra            exit 2: an optional part is not installed
├── Unreachable             exit 1, retried within bounds: a server, store or remote did not answer
├── Missing                 exit 1: the thing asked for is not there; asking again does not help
├── DigestMismatch          exit 1: bytes are not what their digest says
├── SignatureRefused        exit 1: nobody whom the environment trusts has signed these bytes
├── RemoteRefused           exit 1: the Git remote answered no (policy); not retried
├── RegistryRefused         exit 1: the registry answered no (who asks, or what that one may do); not retried
├── PromotionRefused        exit 1: a release lacks what the environment asks of it
├── Conflict                exit 1: somebody else changed the same thing first
└── GateRefused             exit 3: a gate said no; raised only by `nexus release` as a whole
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_release.terminal import plain_line


class NexusError(Exception):
    """Base of the tree; `exit_status` is what the CLI ends with, `retry` whether trying again may help."""

    exit_status = 1
    retry = False


class BadInput(NexusError):
    """Input that can never work as given. The message is one line of printable characters; a `value` that is None was
    not given at all, and is not shown."""

    exit_status = 2

    def __init__(self, field: str, value: object, mend: str) -> None:
        shown = ascii(value)  # a letter that looks like another is told from it
        if len(shown) > 200:
            shown = shown[:197] + "..."
        refused = "" if value is None else f"{shown} is refused: "
        super().__init__(f"{plain_line(field)}: {refused}{plain_line(mend)}")
        self.field, self.value, self.mend = field, value, mend


class MissingExtra(NexusError):
    """A part of Nexus that is not installed here."""

    exit_status = 2

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the extra {extra!r}: run `make setup`, or install nexus-platform[{extra}]"
        )


class Unreachable(NexusError):
    """Something that should answer did not; trying again may help."""

    retry = True


class Missing(NexusError):
    """What was asked for does not exist."""


class DigestMismatch(NexusError):
    """Bytes are not what their digest says."""

    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(f"{what}: expected {expected}, found {found}")


class SignatureRefused(NexusError):
    """Bytes that nobody answers for whom the environment trusts. Closed: nothing goes on without a signature."""


class RemoteRefused(NexusError):
    """The Git remote answered, and its answer was no."""


class RegistryRefused(NexusError):
    """The registry answered, and its answer was no."""


class PromotionRefused(NexusError):
    """A release that lacks what an environment asks of it. Closed: nothing is proposed."""

    def __init__(self, what: str, lacks: Sequence[str]) -> None:
        super().__init__(f"{what}:\n" + "\n".join(f"  {plain_line(one)}" for one in lacks))


class Conflict(NexusError):
    """Somebody else changed the same thing first, and the change could not be redone on top."""


class GateRefused(NexusError):
    """A gate said no. The evidence is in `summary.json`."""

    exit_status = 3
