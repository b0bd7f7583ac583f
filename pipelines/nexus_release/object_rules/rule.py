"""A rule, what it finds, and the object that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Placed:
    """An object, and the folder that Argo CD would sync it from."""

    folder: str
    """Under the repository's root."""
    body: Object

    @property
    def name(self) -> str:
        return f"{self.body['kind']} {self.body['metadata'].get('name') or self.body['metadata']['generateName']}"


@dataclass(frozen=True)
class Rule:
    name: str
    why: str
    """What happens in a cluster where it is broken."""
    check: Callable[[Object], Iterator[str]]
    """Of one object: where it is broken, and how it is mended, a line each."""


@dataclass(frozen=True)
class FolderRule:
    """A rule about objects that belong together."""

    name: str
    why: str
    check: Callable[[tuple[Object, ...]], Iterator[str]]


@dataclass(frozen=True)
class Finding:
    rule: str
    where: str
    fault: str

    def __str__(self) -> str:
        return f"{self.where}: {self.fault} [{self.rule}]"
