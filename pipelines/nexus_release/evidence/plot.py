"""The interval of a measurement beside its bounds, as an SVG whose colours are the page's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from nexus_release.record import Figure

_WIDTH, _HEIGHT, _EDGE = 640, 74, 40  # half of a number fits beside the edge
_ABOVE, _TOP, _MIDDLE, _AXIS, _BELOW = 13, 18, 34, 50, 67
_ROOM = 0.08  # of the range, left free at either end


@dataclass(frozen=True)
class _Scale:
    first: float
    last: float

    def at(self, number: float) -> float:
        return round(_EDGE + (number - self.first) / (self.last - self.first) * (_WIDTH - 2 * _EDGE), 1)


def interval_plot(figure: Figure, said: str) -> str:
    """`said` tells the same to whoever does not see it."""
    scale = _scale([float(text) for text in (figure.value, figure.low, figure.high, figure.least, figure.most) if text])
    drawn = [*_bounds(figure, scale), *_interval(figure, scale)]
    return (
        f'<svg class="interval" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">'
        f"{''.join(drawn)}</svg>"
    )


def _scale(numbers: list[float]) -> _Scale:
    low, high = min(numbers), max(numbers)
    room = (high - low) * _ROOM or abs(high) * _ROOM or 1.0
    return _Scale(low - room, high + room)


def _bounds(figure: Figure, scale: _Scale) -> Iterator[str]:
    """The axis, the band that is allowed, and a line at each end of it that is a bound."""
    yield _line("axis", scale.at(scale.first), _AXIS, scale.at(scale.last), _AXIS)
    left = scale.at(float(figure.least)) if figure.least else scale.at(scale.first)
    right = scale.at(float(figure.most)) if figure.most else scale.at(scale.last)
    if figure.least or figure.most:
        width = max(0.0, round(right - left, 1))
        yield f'<rect class="allowed" x="{left}" y="{_TOP}" width="{width}" height="{_AXIS - _TOP}"/>'
    for bound, sign in ((figure.least, "≥"), (figure.most, "≤")):
        if bound:
            place = scale.at(float(bound))
            yield _line("bound", place, _TOP, place, _AXIS + 4)
            yield _text(place, _BELOW, f"{sign} {bound}")


def _interval(figure: Figure, scale: _Scale) -> Iterator[str]:
    state = "good" if figure.passed else "bad"
    low, high = scale.at(float(figure.low)), scale.at(float(figure.high))
    yield _line(f"whisker {state}", low, _MIDDLE, high, _MIDDLE)
    for end in (low, high):
        yield _line(f"whisker {state}", end, _MIDDLE - 7, end, _MIDDLE + 7)
    place = scale.at(float(figure.value))
    yield f'<circle class="{state}" cx="{place}" cy="{_MIDDLE}" r="5"/>'
    yield _text(place, _ABOVE, figure.value)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'
