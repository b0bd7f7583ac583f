"""What became of each key of an imported file: taken, or told of with what to do. No value of the file is ever shown.

A value may be a secret under any key; names of models, upstreams and variables are what a report needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Path = tuple[str | int, ...]
Kind = Literal["left out", "differs", "no counterpart", "unknown"]
KINDS: Mapping[Kind, str] = {
    "left out": "Models and engines that are not in the route files",
    "differs": "Taken, and not quite the same here",
    "no counterpart": "Without a counterpart",
    "unknown": "Keys that this importer does not know",
}


@dataclass(frozen=True)
class Note:
    path: str
    """In the file, with dots."""
    kind: Kind
    there: str
    """What the other gateway does with it."""
    here: str
    """What to do here."""


@dataclass(frozen=True)
class Variable:
    """Of the gateway's own process, to be set before it starts."""

    name: str
    value: str | None
    """None where it is a secret, or not known from the file."""
    why: str


class Ledger:
    """Filled while a file is translated."""

    def __init__(self) -> None:
        self.taken: dict[Path, str] = {}
        self.notes: list[Note] = []
        self.variables: dict[str, Variable] = {}
        self._told: set[Path] = set()
        self._told_with_all_below: set[Path] = set()

    def take(self, path: Path, to: str) -> None:
        """`to`: where its meaning is now."""
        self.taken.setdefault(path, to)

    def tell(self, kind: Kind, path: Path, there: str, here: str) -> None:
        note = Note(dotted(path), kind, there, here)
        if note not in self.notes:
            self.notes.append(note)
        (self._told if kind == "differs" else self._told_with_all_below).add(path)

    def absorb(self, other: Ledger) -> None:
        """What was found on trial, once it holds."""
        self.taken |= {path: to for path, to in other.taken.items() if path not in self.taken}
        self.notes += [note for note in other.notes if note not in self.notes]
        self.variables |= {name: one for name, one in other.variables.items() if name not in self.variables}
        self._told |= other._told
        self._told_with_all_below |= other._told_with_all_below

    def needs(self, name: str, value: str | None, why: str) -> None:
        self.variables.setdefault(name, Variable(name, value, why))

    def left(self, document: object, at: Path = ()) -> Iterator[Path]:
        """Keys of `document` of which nobody has said anything. What is taken or left out is so with all below it."""
        whole = self.taken.keys() | self._told_with_all_below
        for path in _leaves(document, at):
            above = {path[:depth] for depth in range(1, len(path) + 1)}
            if path not in self._told and not above & whole:
                yield path

    def taken_from(self, document: object) -> dict[str, str]:
        """Of what is taken, the keys that `document` has."""
        return {dotted(path): to for path, to in self.taken.items() if _has(document, path)}


@dataclass(frozen=True)
class Report:
    source: str
    models: Sequence[str]
    """Those that have a route now."""
    missing: Sequence[str]
    """Those that have none."""
    variables: Sequence[Variable]
    notes: Sequence[Note]
    taken: Mapping[str, str]
    """Path in the file -> where its meaning is now."""

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def page(self) -> str:
        """In Markdown."""
        found = [f"# {self.source}, imported", "", _models(self.models, self.missing)]
        if self.variables:
            found += ["", "## Variables to set", "", "| variable | value | for |", "| --- | --- | --- |"]
            found += [_row(one.name, one.value or "(yours)", one.why) for one in self.variables]
        for kind, title in KINDS.items():
            notes = [note for note in self.notes if note.kind == kind]
            if notes:
                found += ["", f"## {title}", "", "| key | there | here |", "| --- | --- | --- |"]
                found += [_row(f"`{note.path}`", note.there, note.here) for note in notes]
        found += ["", "## Taken", "", "| key | to |", "| --- | --- |"]
        found += [_row(f"`{path}`", to) for path, to in self.taken.items()]
        return "\n".join(found) + "\n"


def dotted(path: Path) -> str:
    return ".".join(_printable(str(part)) for part in path)


def _models(models: Sequence[str], missing: Sequence[str]) -> str:
    told = f"Models with a route: {len(models)}."
    return f"{told} Without one: {', '.join(map(_printable, missing))}." if missing else told


def _row(*cells: str) -> str:
    return f"| {' | '.join(_seen(cell).replace('|', '/') for cell in cells)} |"


def _printable(text: str) -> str:
    """A key of a file may hold what a terminal would obey, or run to any length."""
    return _seen(text if len(text) <= 100 else f"{text[:100]}…")


def _seen(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _has(node: object, path: Path) -> bool:
    for part in path:
        if not (isinstance(node, Mapping) and part in node) and not isinstance(node, list):
            return False
        node = node[part]  # type: ignore[index]  # of a list by its number, as the path was made
    return True


def _leaves(node: object, at: Path) -> Iterator[Path]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _leaves(value, (*at, str(key)))
    elif isinstance(node, list) and node:
        for number, value in enumerate(node):
            yield from _leaves(value, (*at, number))
    elif len(at) > 1 or node not in ({}, [], None):
        yield at
