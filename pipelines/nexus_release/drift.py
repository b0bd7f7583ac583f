"""How far a dataset has moved from an earlier one, feature by feature.

Each feature is cheap, needs no model, and stands for something that spoils a training unseen: another length, another
form of talk, another language, text that has become code or the other way round, a file that repeats itself. `id` and
`source` are none: they are names, and new data has new ones.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nexus_release.distributions import Distance, Measure, between_categories, between_numbers
from nexus_release.frozen import Frozen
from nexus_release.lines import Row
from nexus_release.names import Line
from nexus_release.record import decimal

_TURNS = 8  # roles of a sequence that are told apart; longer ones are one category for each beginning


class FeatureDrift(Frozen):
    """One feature against the reference. Figures are decimal strings."""

    feature: Line
    measure: Measure
    value: Line
    chance: Line
    """What chance alone exceeds with the gate's `significance`, shared out among the features."""
    bound: Line
    """What the gate allows."""
    drifted: bool
    """True where the value is above both."""


@dataclass(frozen=True)
class Data:
    """A dataset as it is compared."""

    rows: Sequence[Row]
    """The good ones, without duplicates."""
    fates: Mapping[str, int]
    """`kept`, `repeated`, `refused` -> lines of the file."""


def measure(now: Data, then: Data, bounds: Mapping[Measure, float], significance: float) -> tuple[FeatureDrift, ...]:
    """`significance`: probability that data which has not moved exceeds what chance allows in any feature. Nothing
    where a side has no rows."""
    if not (now.rows and then.rows):
        return ()
    each = significance / (len(_NUMBERS) + len(_CATEGORIES) + 1)
    distances = {
        **{name: between_numbers([*map(of, now.rows)], [*map(of, then.rows)], each) for name, of in _NUMBERS.items()},
        **{
            name: between_categories(Counter(map(of, now.rows)), Counter(map(of, then.rows)), each)
            for name, of in _CATEGORIES.items()
        },
        "fate of lines": between_categories(now.fates, then.fates, each),
    }
    return tuple(_told(name, distance, bounds[distance.measure]) for name, distance in distances.items())


def _told(name: str, distance: Distance, bound: float) -> FeatureDrift:
    return FeatureDrift(
        feature=name,
        measure=distance.measure,
        value=decimal(distance.value),
        chance=decimal(distance.chance),
        bound=decimal(bound),
        drifted=distance.value > max(bound, distance.chance),
    )


def _characters(row: Row, *roles: str) -> float:
    return float(sum(len(message["content"]) for message in row["messages"] if message["role"] in roles))


def _turns(row: Row) -> float:
    return float(sum(message["role"] == "user" for message in row["messages"]))


def _text(row: Row) -> str:
    return "\n".join(message["content"] for message in row["messages"])


def _letters(row: Row) -> float:
    """Share of the characters: prose has more than code, and code more than tables of numbers."""
    counts = Counter(_text(row))
    letters = sum(count for letter, count in counts.items() if letter.isalpha())
    return letters / max(1, counts.total())


def _word_length(row: Row) -> float:
    text = _text(row)
    return sum(map(len, text.split())) / max(1, len(text.split()))


def _script(row: Row) -> str:
    """The script of most letters, by the first word of their Unicode names."""
    scripts: Counter[str] = Counter()
    for letter, count in Counter(_text(row)).items():
        if letter.isalpha():
            scripts[_script_of(letter)] += count
    return max(sorted(scripts), key=scripts.__getitem__, default="none")


@lru_cache(maxsize=4096)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def _sequence(row: Row) -> str:
    roles = [message["role"] for message in row["messages"]]
    return ",".join(roles[:_TURNS] + ["..."] * (len(roles) > _TURNS))


_NUMBERS: Mapping[str, Callable[[Row], float]] = {
    "prompt characters": lambda row: _characters(row, "system", "user"),
    "answer characters": lambda row: _characters(row, "assistant"),
    "turns": _turns,
    "share of letters": _letters,
    "characters a word": _word_length,
}
_CATEGORIES: Mapping[str, Callable[[Row], str]] = {
    "role sequence": _sequence,
    "language": lambda row: str(row["language"]),
    "script": _script,
}
