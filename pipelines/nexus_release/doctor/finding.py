"""What a look comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from nexus_release.errors import NexusError
from nexus_release.frozen import Frozen
from nexus_release.terminal import plain_line

Verdict = Literal["ok", "warn", "fail", "not here"]
About = Literal["machine", "environment", "running"]
_AT_ONCE = 8  # looks; each waits for a server most of its time
_SHOWN = 500  # characters of what a server says
_UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, RecursionError)


class Finding(Frozen):
    name: str
    """Of what was looked at."""
    verdict: Verdict
    said: str
    """What was seen; where something is wrong, the cause."""
    mend: str = ""
    """What a person does; empty where nothing need be done."""


def ok(name: str, said: str) -> Finding:
    return Finding(name=name, verdict="ok", said=said)


def warn(name: str, said: str, mend: str) -> Finding:
    """It goes on, and something is missed or will go wrong."""
    return Finding(name=name, verdict="warn", said=said, mend=mend)


def fail(name: str, said: str, mend: str) -> Finding:
    return Finding(name=name, verdict="fail", said=said, mend=mend)


def absent(name: str, said: str, mend: str = "") -> Finding:
    """Not here, which is no fault."""
    return Finding(name=name, verdict="not here", said=said, mend=mend)


@dataclass(frozen=True)
class Look:
    name: str
    findings: Callable[[], Iterable[Finding]]
    """A look that cannot be finished is a fault, since whoever is asked may answer in any form."""
    mend: str = "mend what it says, and look again"
    """Of such a fault."""


def examine(looks: Sequence[Look]) -> Iterator[Finding]:
    """In the order of the looks, which are taken side by side."""
    with ThreadPoolExecutor(_AT_ONCE) as several:
        for found in several.map(_taken, looks):
            yield from found


def _taken(look: Look) -> list[Finding]:
    found: list[Finding] = []
    try:
        for one in look.findings():
            found.append(one.model_copy(update={"said": plain_line(one.said)[:_SHOWN], "mend": plain_line(one.mend)}))
    except (NexusError, OSError) as error:
        found.append(fail(look.name, plain_line(str(error))[:_SHOWN], look.mend))
    except _UNREADABLE as error:  # what it says may quote an address with its password
        said = f"its address or its answer has no form that is understood here ({type(error).__name__})"
        found.append(fail(look.name, said, look.mend))
    return found
