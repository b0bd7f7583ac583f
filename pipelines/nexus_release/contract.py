"""The contract of a chat dataset: what a row must be.

A line is first read (UTF-8, JSON, the right keys and types: `_read`); what can be read becomes one line of facts in a
frame, and a pandera schema holds the frame (`_schema`). Both name the row, the column and the rule that is broken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexus_release.digests import canonical_json, digest_json

if TYPE_CHECKING:
    import pandas
    import pandera.pandas

LANGUAGE = "en"
LATIN_SHARE = 0.8
"""Of the letters of a row that says it is English, at least so many are ASCII: code and names are, prose in another
script is not. A rule that needs no model and that a reader can apply by eye."""

_SPEAKERS = ("assistant", "system", "user")
ROLES = r"(system,)?user,assistant(,user,assistant)*\Z"
CONTROL = r"<\|[a-z_]{1,40}\|>"
"""Tokens by which chat models tell who speaks; in a text they would put words into another's mouth."""

NOT_NULL = "is not null"
_TEXTS = ("id", "source", "language")
_SHOWN = 80  # characters of what was found


@dataclass(frozen=True)
class Failure:
    """One rule that one row breaks. Rows count from 1, as an editor does."""

    row: int
    column: str
    rule: str
    value: str
    """What was found, at most 80 characters."""


@dataclass(frozen=True)
class Checked:
    rows: Sequence[Mapping[str, Any]]
    """Good rows, without duplicates, in their order."""
    total: int
    failures: Sequence[Failure]
    duplicates: Sequence[int]
    """Rows that say what an earlier row says. They are dropped and are no failure: one copy is as good as two."""
    lengths: Sequence[int]
    """Characters of each good row."""

    @property
    def refused_rows(self) -> int:
        return len({failure.row for failure in self.failures})


def check(data: bytes, max_characters: int) -> Checked:
    """Holds every line of JSONL `data` against the contract. Blank lines are rows that are no JSON."""
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    read, failures = _read(lines)
    failures += _break_rules(read, max_characters)
    refused = {failure.row for failure in failures}
    kept: dict[bytes, int] = {}
    duplicates = []
    for number, row in read.items():
        if number not in refused and kept.setdefault(canonical_json(row["messages"]), number) != number:
            duplicates.append(number)
    good = [read[number] for number in kept.values()]
    return Checked(good, len(lines), sorted(failures, key=lambda f: f.row), duplicates, [_characters(r) for r in good])


def contract_digest(max_characters: int) -> str:
    """Digest of everything that decides whether a row is good."""
    columns = {
        name: {"type": str(column.dtype), "checks": [[c.name, c.error, str(c.statistics)] for c in column.checks]}
        for name, column in _schema(max_characters).columns.items()
    }
    return digest_json({"columns": columns, "texts": list(_TEXTS), "speakers": list(_SPEAKERS), "control": CONTROL})


def _read(lines: Sequence[bytes]) -> tuple[dict[int, Mapping[str, Any]], list[Failure]]:
    rows: dict[int, Mapping[str, Any]] = {}
    failures: list[Failure] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line.decode("utf-8"), parse_constant=_no_number)
        except UnicodeDecodeError:
            failures.append(Failure(number, "(row)", "is UTF-8", repr(line[:_SHOWN])[:_SHOWN]))
        except (ValueError, RecursionError):
            failures.append(Failure(number, "(row)", "is JSON", line[:_SHOWN].decode(errors="replace")))
        else:
            broken = [Failure(number, column, rule, _excerpt(value)) for column, rule, value in _malformed(row)]
            failures += broken
            if not broken:
                rows[number] = row
    return rows, failures


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _malformed(row: Any) -> Iterator[tuple[str, str, object]]:
    """(column, rule, what was found) of everything for which a row cannot become a line of the frame."""
    if not isinstance(row, dict):
        yield "(row)", "is an object", row
        return
    for key in sorted(row.keys() - {*_TEXTS, "messages"}):
        yield "(row)", "has no key but id, source, language, messages", key
    for key in _TEXTS:
        yield from _no_text(key, row, key)
    messages = row.get("messages")
    if messages is None:
        yield "messages", NOT_NULL if "messages" in row else "is there", messages
    elif not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        yield "messages", "is a list of objects", messages
    else:
        for message in messages:
            for key in sorted(message.keys() - {"role", "content"}):
                yield "messages", "has no key but role, content", key
            for key in ("role", "content"):
                yield from _no_text(f"messages.{key}", message, key)
            if isinstance(message.get("role"), str) and message["role"] not in _SPEAKERS:
                yield "messages.role", f"is {', '.join(_SPEAKERS)}", message["role"]


def _no_text(column: str, values: Mapping[str, Any], key: str) -> Iterator[tuple[str, str, object]]:
    value = values.get(key)
    if value is None:
        yield column, NOT_NULL if key in values else "is there", value
    elif not isinstance(value, str):
        yield column, "is text", value
    elif any("\ud800" <= letter <= "\udfff" for letter in value):
        yield column, "is Unicode", value


def _excerpt(value: object) -> str:
    return str(value)[:_SHOWN].encode(errors="replace").decode()


def _break_rules(rows: Mapping[int, Mapping[str, Any]], max_characters: int) -> list[Failure]:
    import pandera.errors

    if not rows:
        return []
    try:
        _schema(max_characters).validate(_facts(rows), lazy=True)
    except pandera.errors.SchemaErrors as broken:
        cases = broken.failure_cases
        return [
            Failure(int(row), str(column), str(rule), _excerpt(value))
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


def _facts(rows: Mapping[int, Mapping[str, Any]]) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame([_facts_of(row) for row in rows.values()], index=list(rows))


def _facts_of(row: Mapping[str, Any]) -> dict[str, object]:
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
