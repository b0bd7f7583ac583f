"""Which fault strikes which request: said by `KIND[:key=value,…]`, at the start or while it runs.

Every fault counts the requests that come; of those that strike at once the first of the list does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Kind = Literal[
    "refuse", "oom", "slow", "stall", "never", "cut", "malformed", "oversize", "content-type", "empty", "health"
]
Code = Literal[
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
]  # fmt: skip
_CHOICE = frozenset({"every", "share", "skip", "times"})
_KEYS: Mapping[str, frozenset[str]] = {
    "refuse": _CHOICE | {"status", "code", "retry_after"},
    "slow": _CHOICE | {"seconds"},
    "stall": _CHOICE | {"seconds", "chunks"},
    **dict.fromkeys(("cut", "malformed"), _CHOICE | {"chunks"}),
    "oversize": _CHOICE | {"chunks", "bytes"},
    "health": frozenset(),
}
"""Kind -> its keys; those that are not named have the choice alone."""


class BadFault(ValueError):
    """The message names the fault, its key and the mend."""


class Fault(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    status: int = Field(default=503, ge=400, le=599)
    code: Code | None = None
    """A gRPC status, told without an error of the contract; None translates `status`."""
    retry_after: int = Field(default=0, ge=0, le=86_400)
    """Seconds; 0 says nothing of it."""
    seconds: float = Field(default=60.0, ge=0)
    chunks: int = Field(default=3, ge=0)
    """Pieces of a stream that go well before; a whole answer is one piece, and struck by itself."""
    bytes: int = Field(default=16 * 2**20, ge=1, le=2**30)
    every: int = Field(default=1, ge=1)
    """The k-th, the 2k-th, …"""
    share: float = Field(default=1.0, gt=0, le=1)
    """By chance, the same from start to start."""
    skip: int = Field(default=0, ge=0)
    """Requests that are let pass first."""
    times: int = Field(default=0, ge=0)
    """Strikes at most; 0: without end."""


def read_fault(text: str) -> Fault:
    """Raises BadFault."""
    kind, _, said = text.partition(":")
    if kind not in get_args(Kind):
        raise BadFault(f"{text!r}: there is no fault {kind!r}; take one of {', '.join(get_args(Kind))}")
    keys = _KEYS.get(kind, _CHOICE)
    values: dict[str, Any] = {}
    for part in filter(None, said.split(",")):
        key, _, value = part.partition("=")
        if key not in keys:
            raise BadFault(f"{text!r}: {kind} has no {key!r}; its keys are {', '.join(sorted(keys)) or 'none'}")
        values[key] = value
    try:
        return Fault.model_validate({"kind": kind, **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadFault(f"{text!r}: {first['loc'][0]}: {first['msg']}") from None


@dataclass
class _Armed:
    fault: Fault
    random: Random
    came: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        fault = self.fault
        self.came += 1
        nth = self.came - fault.skip
        if nth <= 0 or nth % fault.every or (fault.times and self.struck >= fault.times):
            return False
        if self.random.random() >= fault.share:
            return False
        self.struck += 1
        return True


@dataclass
class Faults:
    """Those that hold now. Counting begins anew with each `arm`."""

    said: Sequence[str] = ()
    _armed: list[_Armed] = field(default_factory=list)

    @classmethod
    def of(cls, said: Sequence[str]) -> Faults:
        """Raises BadFault."""
        faults = cls()
        faults.arm(said)
        return faults

    def arm(self, said: Sequence[str]) -> None:
        """In place of all before. Raises BadFault, and then those before hold."""
        self._armed = [_Armed(read_fault(text), Random(text)) for text in said]  # noqa: S311 - a choice, no secret
        self.said = tuple(said)

    @property
    def red(self) -> bool:
        """Health is."""
        return any(armed.fault.kind == "health" for armed in self._armed)

    def strike(self) -> Fault | None:
        """For a request that comes now."""
        striking = [armed.fault for armed in self._armed if armed.fault.kind != "health" and armed.strikes()]
        return striking[0] if striking else None


def refusal(fault: Fault) -> tuple[int, str, str] | None:
    """Status, vLLM's word for it and what is said, where the fault is an answer of its own; None where it is none."""
    if fault.kind == "refuse":
        return fault.status, "MockFault", "the mock refuses, as it was told to"
    if fault.kind == "oom":
        return 500, "InternalServerError", "CUDA out of memory. Tried to allocate 2.00 GiB. (mock)"
    return None
