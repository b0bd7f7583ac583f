"""What a step is: a function from typed input to typed output, and what an engine must know to run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from nexus_release.frozen import Frozen
from nexus_release.wiring import Tools

Effect = Literal[
    "read:dataset",
    "read:base-model",
    "read:store",
    "write:store",
    "read:signing-key",
    "read:registry",
    "write:registry",
    "read:git",
    "write:git",
    "open:pull-request",
    "read:figures",
]


@dataclass(frozen=True)
class Resources:
    """What one run asks for; an environment may add a GPU by its settings."""

    cpu: str = "1"
    memory: str = "2Gi"
    gpu: bool = False


@dataclass(frozen=True)
class Step:
    """A step's metadata. The order of steps is in `graph.py`, what they do in `steps/`."""

    name: str
    run: Callable[[Any, Tools], Frozen]
    given: type[Frozen]
    gives: type[Frozen]
    effects: tuple[Effect, ...]
    retries: int
    """Times that an engine may try again after exit status 1."""
    timeout_seconds: int
    resources: Resources
    cacheable: bool
    """False where the outcome depends on more than the input: the state of the remote."""
    image: Literal["release", "train"]
    """Key of the image in the environment's settings."""
