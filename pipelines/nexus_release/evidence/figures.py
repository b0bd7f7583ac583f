"""A gate's figures in words and in numbers, the same in every form of a page."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_release.record import Figure


def name_of(figure: Figure) -> str:
    return f"{figure.name} of {figure.subject}" if figure.subject else figure.name


def interval_of(figure: Figure) -> str:
    return figure.value if figure.low == figure.high else f"{figure.value} ({figure.low} to {figure.high})"


def bounds_of(figure: Figure) -> str:
    least = [f"at least {figure.least}"] if figure.least else []
    most = [f"at most {figure.most}"] if figure.most else []
    return " and ".join(least + most) or "no bound"


def amounts_of(figures: Iterable[Figure]) -> dict[str, float]:
    """Name -> number, with the ends of each interval and both models' own where there are such."""
    found: dict[str, float] = {}
    for figure in figures:
        parts = {"": figure.value, ".base": figure.base, ".candidate": figure.candidate}
        if figure.low != figure.high:
            parts |= {".low": figure.low, ".high": figure.high}
        found |= {f"{figure.name}{part}": float(text) for part, text in parts.items() if text}
    return found
