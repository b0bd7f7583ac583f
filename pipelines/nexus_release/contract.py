"""The contract of a chat dataset: what a row must be.

A line is first read (`lines.py`: UTF-8, JSON, the right keys and types); what can be read becomes one line of facts in
a frame, and a pandera schema holds the frame (`_schema`). Both name the row, the column and the rule that is broken.
What personal data a row holds is counted by `personal_data.py`; nothing of such a row is then shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from nexus_release.digests import canonical_json, digest_json
from nexus_release.lines import SPEAKERS, TEXTS, Failure, Row, excerpt, read_lines
from nexus_release.personal_data import RULES, kinds, texts

if TYPE_CHECKING:
    import pandas
    import pandera.pandas

Pii = Literal["refuse", "allow"]
"""What becomes of a row that holds personal data or a secret. Either way it is counted."""

LANGUAGE = "en"
LATIN_SHARE = 0.8
"""Of the letters of a row that says it is English, at least so many are ASCII: code and names are, prose in another
script is not. A rule that needs no model and that a reader can apply by eye."""

ROLES = r"(system,)?user,assistant(,user,assistant)*\Z"
CONTROL = r"<\|[a-z_]{1,40}\|>"
"""Tokens by which chat models tell who speaks; in a text they would put words into another's mouth."""

_WITHHELD = "(withheld: the row holds personal data)"
_READING = 2  # of the rules in lines.py; goes up when they change

Personal = Mapping[int, Sequence[tuple[str, str]]]
"""Row -> (column, kind) of the personal data in it."""


@dataclass(frozen=True)
class SameAnswer:
    """The answer that is given most often, whatever its case and spaces."""

    row: int
    """The first that gives it; 0 where there are no answers."""
    times: int
    of: int
    """Answers in all good rows."""

    @property
    def share(self) -> float:
        return self.times / self.of if self.of else 0.0


@dataclass(frozen=True)
class Checked:
    rows: Sequence[Row]
    """Good rows, without duplicates, in their order."""
    total: int
    failures: Sequence[Failure]
    duplicates: Sequence[int]
    """Rows that say what an earlier row says. They are dropped and are no failure: one copy is as good as two."""
    lengths: Sequence[int]
    """Characters of each good row."""
    personal: Mapping[str, int]
    """Kind of personal data -> rows that hold it, refused or not."""
    same_answer: SameAnswer

    @property
    def refused_rows(self) -> int:
        return len({failure.row for failure in self.failures})


def check(data: bytes, max_characters: int, pii: Pii = "refuse") -> Checked:
    """Holds every line of JSONL `data` against the contract."""
    lines = read_lines(data)
    personal = {number: found for number, row in _json(lines.rows, lines.misshapen) if (found := _personal(row))}
    failures = [
        replace(failure, value=_WITHHELD) if failure.row in personal else failure
        for failure in (*lines.failures, *_break_rules(lines.rows, max_characters))
    ]
    if pii == "refuse":
        failures += _personal_failures(personal)
    refused = {failure.row for failure in failures}
    kept: dict[bytes, int] = {}
    duplicates = []
    for number, row in lines.rows.items():
        if number not in refused and kept.setdefault(canonical_json(row["messages"]), number) != number:
            duplicates.append(number)
    good = {number: lines.rows[number] for number in kept.values()}
    return Checked(
        rows=list(good.values()),
        total=lines.total,
        failures=sorted(failures, key=lambda failure: failure.row),
        duplicates=duplicates,
        lengths=[_characters(row) for row in good.values()],
        personal=Counter(kind for found in personal.values() for kind in {kind for _, kind in found}),
        same_answer=_same_answer(good),
    )


def contract_digest(max_characters: int, pii: Pii) -> str:
    """Digest of everything that decides whether a row is good."""
    columns = {
        name: {"type": str(column.dtype), "checks": [[c.name, c.error, str(c.statistics)] for c in column.checks]}
        for name, column in _schema(max_characters).columns.items()
    }
    reading = {"version": _READING, "texts": list(TEXTS), "speakers": list(SPEAKERS)}
    personal = dict(RULES) if pii == "refuse" else {}
    return digest_json({"columns": columns, "reading": reading, "control": CONTROL, "pii": personal})


def _json(*parts: Mapping[int, object]) -> Iterator[tuple[int, object]]:
    for part in parts:
        yield from part.items()


def _personal(row: object) -> list[tuple[str, str]]:
    columns = row if isinstance(row, dict) else {"(row)": row}
    found = {(key if key in (*TEXTS, "messages") else "(row)", kind) for key, kind in _kinds(columns)}
    return sorted(found)


def _kinds(columns: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in columns.items():
        for text in (*texts(value), key):
            for kind in kinds(text):
                yield key, kind


def _personal_failures(personal: Personal) -> list[Failure]:
    return [
        Failure(number, column, f"pii: {kind}", _WITHHELD)
        for number, found in personal.items()
        for column, kind in found
    ]


def _same_answer(rows: Mapping[int, Row]) -> SameAnswer:
    first: dict[str, int] = {}
    times: Counter[str] = Counter()
    for number, row in rows.items():
        for message in row["messages"]:
            if message["role"] == "assistant":
                answer = " ".join(message["content"].split()).casefold()
                first.setdefault(answer, number)
                times[answer] += 1
    most = times.most_common(1)
    return SameAnswer(first[most[0][0]], most[0][1], times.total()) if most else SameAnswer(0, 0, 0)


def _break_rules(rows: Mapping[int, Row], max_characters: int) -> list[Failure]:
    import pandera.errors

    if not rows:
        return []
    try:
        _schema(max_characters).validate(_facts(rows), lazy=True)
    except pandera.errors.SchemaErrors as broken:
        cases = broken.failure_cases
        return [
            Failure(int(row), str(column), str(rule), excerpt(value))
            for row, column, rule, value in zip(
                cases["index"], cases["column"], cases["check"], cases["failure_case"], strict=True
            )
        ]
    return []


def _schema(max_characters: int) -> pandera.pandas.DataFrameSchema:
    from pandera.pandas import Check, Column, DataFrameSchema

    return DataFrameSchema(
        {
            "id": Column(str, Check.str_length(min_value=1, error="is not empty")),
            "source": Column(str, Check.str_length(min_value=1, error="is not empty")),
            "language": Column(str, Check.eq(LANGUAGE, error=f"is {LANGUAGE}")),
            "roles": Column(
                str, Check.str_matches(ROLES, error="user and assistant take turns, the assistant is last")
            ),
            "shortest message": Column(int, Check.ge(1, error="no message is empty")),
            "longest message": Column(int, Check.le(max_characters, error=f"at most {max_characters} characters")),
            "control tokens": Column(int, Check.eq(0, error="no text has control tokens of chat models")),
            "ASCII letters": Column(float, Check.ge(LATIN_SHARE, error=f"at least {LATIN_SHARE:.0%} of all letters")),
        },
        strict=True,
        coerce=False,
    )


def _facts(rows: Mapping[int, Row]) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame([_facts_of(row) for row in rows.values()], index=list(rows))


def _facts_of(row: Row) -> dict[str, object]:
    contents = [message["content"] for message in row["messages"]]
    lengths = [len(content.strip()) for content in contents] or [0]
    letters = [letter for content in contents for letter in content if letter.isalpha()]
    return {
        "id": row["id"],
        "source": row["source"],
        "language": row["language"],
        "roles": ",".join(message["role"] for message in row["messages"]),
        "shortest message": min(lengths),
        "longest message": max(lengths),
        "control tokens": sum(len(re.findall(CONTROL, content)) for content in contents),
        "ASCII letters": sum(letter.isascii() for letter in letters) / len(letters) if letters else 1.0,
    }


def _characters(row: Mapping[str, Any]) -> int:
    return sum(len(message["content"]) for message in row["messages"])
