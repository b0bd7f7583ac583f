"""The contract of a chat dataset: what a row must be, as a pandera schema over one line of facts for each row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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

ROLES = r"^(system,)?user,assistant(,user,assistant)*$"


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
    parsed, failures = _parse(lines)
    failures += _break_rules(parsed, max_characters)
    refused = {failure.row for failure in failures}
    kept: dict[bytes, int] = {}
    duplicates = []
    for number, row in parsed.items():
        if number not in refused and kept.setdefault(canonical_json(row["messages"]), number) != number:
            duplicates.append(number)
    good = [parsed[number] for number in kept.values()]
    return Checked(good, len(lines), sorted(failures, key=lambda f: f.row), duplicates, [_characters(r) for r in good])


def contract_digest(max_characters: int) -> str:
    """Digest of everything that decides whether a row is good."""
    return digest_json(
        {
            "columns": sorted(_schema(max_characters).columns),
            "language": LANGUAGE,
            "latin": str(LATIN_SHARE),
            "longest": max_characters,
            "roles": ROLES,
        }
    )


def _parse(lines: Sequence[bytes]) -> tuple[dict[int, Mapping[str, Any]], list[Failure]]:
    parsed: dict[int, Mapping[str, Any]] = {}
    failures = []
    for number, line in enumerate(lines, 1):
        try:
            parsed[number] = _chat(json.loads(line, parse_constant=_no_number))
        except UnicodeDecodeError:
            failures.append(Failure(number, "(row)", "is UTF-8", repr(line)[:80]))
        except (ValueError, RecursionError) as error:
            rule = str(error) if isinstance(error, _NoChatError) else "is JSON"
            failures.append(Failure(number, "(row)", rule, line[:80].decode(errors="replace")))
    return parsed, failures


class _NoChatError(ValueError):
    """A row that is JSON, and no chat."""


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _chat(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise _NoChatError("is an object")
    for key in ("id", "language"):
        if not isinstance(row.get(key), str):
            raise _NoChatError(f"has the text {key}")
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(_is_message(message) for message in messages):
        raise _NoChatError("has messages, each with a role and a content that is text")
    return row


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _break_rules(parsed: Mapping[int, Mapping[str, Any]], max_characters: int) -> list[Failure]:
    import pandera.errors

    if not parsed:
        return []
    try:
        _schema(max_characters).validate(_facts(parsed), lazy=True)
    except pandera.errors.SchemaErrors as broken:
        cases = broken.failure_cases
        return [
            Failure(int(row), str(column), str(rule), str(value)[:80])
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
            "language": Column(str, Check.eq(LANGUAGE, error=f"is {LANGUAGE}")),
            "roles": Column(
                str, Check.str_matches(ROLES, error="user and assistant take turns, the assistant is last")
            ),
            "shortest message": Column(int, Check.ge(1, error="no message is empty")),
            "longest message": Column(int, Check.le(max_characters, error=f"at most {max_characters} characters")),
            "ASCII letters": Column(float, Check.ge(LATIN_SHARE, error=f"at least {LATIN_SHARE:.0%} of all letters")),
        },
        strict=True,
        coerce=False,
    )


def _facts(parsed: Mapping[int, Mapping[str, Any]]) -> pandas.DataFrame:
    import pandas

    facts = [_facts_of(row) for row in parsed.values()]
    return pandas.DataFrame(facts, index=list(parsed))


def _facts_of(row: Mapping[str, Any]) -> dict[str, object]:
    contents = [message["content"] for message in row["messages"]]
    lengths = [len(content.strip()) for content in contents] or [0]
    letters = [letter for content in contents for letter in content if letter.isalpha()]
    return {
        "id": row["id"],
        "language": row["language"],
        "roles": ",".join(message["role"] for message in row["messages"]),
        "shortest message": min(lengths),
        "longest message": max(lengths),
        "ASCII letters": sum(letter.isascii() for letter in letters) / len(letters) if letters else 1.0,
    }


def _characters(row: Mapping[str, Any]) -> int:
    return sum(len(message["content"]) for message in row["messages"])
