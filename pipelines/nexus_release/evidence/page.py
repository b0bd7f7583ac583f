"""What a page may hold. Text in it may be hostile; whoever writes a page down escapes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus_release.record import Figure


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Said:
    """A gate's verdict, or how something ended."""

    good: bool
    word: str
    """`accepted`, `refused`, `done`, `failed`."""
    reason: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values, a line each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Bar:
    name: str
    value: float
    said: str


@dataclass(frozen=True)
class Bars:
    """Amounts of one kind, to be compared by their lengths."""

    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Figures:
    figures: tuple[Figure, ...]
    caption: str


@dataclass(frozen=True)
class Changes:
    """A unified diff."""

    diff: str


Block = Heading | Said | Text | Facts | Table | Bars | Figures | Changes


@dataclass(frozen=True)
class Page:
    title: str
    blocks: tuple[Block, ...]
    amounts: Mapping[str, float] = field(default_factory=dict)
    """What an engine plots over many runs: name -> number."""


def amount(count: int) -> str:
    """Bytes for people: `1.2 MB (1,234,567 bytes)`, in powers of ten."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{count:,} bytes" if unit == "bytes" else f"{value:.3g} {unit} ({count:,} bytes)"
