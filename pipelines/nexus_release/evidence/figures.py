"""The measurements in a step's output, whatever the step: what was measured, its interval, and its bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nexus_release.evidence.page import Figure


def figures_in(out: Mapping[str, Any]) -> tuple[Figure, ...]:
    """In the order in which they stand, at any depth."""
    return tuple(_found(out))


def amounts_of(figures: tuple[Figure, ...]) -> dict[str, float]:
    """Figure -> number, with the ends of its interval and both models' own where there are such."""
    found: dict[str, float] = {}
    for figure in figures:
        parts = {"": figure.value, ".low": figure.low, ".high": figure.high}
        parts |= {".base": figure.base, ".candidate": figure.candidate}
        found |= {f"{figure.name}{part}": float(text) for part, text in parts.items() if text}
    return found


def _found(value: object) -> Iterator[Figure]:
    if isinstance(value, Mapping):
        if {"name", "low", "high", "passed"} <= value.keys():
            yield _figure(value)
            return
        for inner in value.values():
            yield from _found(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _found(inner)


def _figure(one: Mapping[str, Any]) -> Figure:
    name, subject = one["name"], one["subject"]
    shown = {key: one[key] for key in ("value", "low", "high", "least", "most", "base", "candidate", "passed")}
    return Figure(name=f"{name}, {subject}" if subject else name, **shown)
