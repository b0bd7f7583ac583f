"""The lines of a dataset: what can be read as a row, and of the rest which rule it breaks and where."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

TEXTS = ("id", "source", "language")
SPEAKERS = ("assistant", "system", "user")
NOT_NULL = "is not null"

_SHOWN = 80  # characters of what was found
_WHOLE = "(row)"


@dataclass(frozen=True)
class Failure:
    """One rule that one row breaks. Rows count from 1, as an editor does; bytes and characters from 0."""

    row: int
    column: str
    rule: str
    value: str
    """What was found, at most 80 characters."""


@dataclass(frozen=True)
class Lines:
    total: int
    rows: Mapping[int, Row]
    """What is well formed, by its number."""
    misshapen: Mapping[int, object]
    """What is JSON and no more, by its number."""
    failures: Sequence[Failure]


class _Twice(ValueError):
    """A key that an object has twice: one of its values would be lost unseen."""


def read_lines(data: bytes) -> Lines:
    """Reads JSON lines; a final newline begins no row."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    rows: dict[int, Row] = {}
    misshapen: dict[int, object] = {}
    failures: list[Failure] = []
    start = 0
    for number, line in enumerate(lines, 1):
        if broken := _unreadable(line, start, number == 1):
            failures.append(Failure(number, _WHOLE, *broken))
        else:
            _sort(number, line, rows, misshapen, failures)
        start += len(line) + 1
    return Lines(len(lines), rows, misshapen, failures)


def excerpt(value: object) -> str:
    return str(value)[:_SHOWN].encode(errors="replace").decode()


def _unreadable(line: bytes, start: int, first: bool) -> tuple[str, str] | None:
    """(rule, what was found and at which byte) of a line that is no text."""
    if not line.strip():
        return "is not blank", ""
    if first and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is UTF-8", _place(line, 0, start, "the mark of UTF-16")
    if first and line.startswith(codecs.BOM_UTF8):
        return "has no byte order mark", _place(line, 0, start, "remove the first 3 bytes")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return "is UTF-8", _place(line, error.start, start, error.reason)
    if (at := line.find(b"\0")) >= 0:
        return "has no NUL byte", _place(line, at, start, "text, or UTF-16?")
    return None


def _place(line: bytes, at: int, start: int, told: str) -> str:
    return f"byte 0x{line[at]:02x} at {at} of the row, {start + at} of the file: {told}"[:_SHOWN]


def _sort(
    number: int, line: bytes, rows: dict[int, Row], misshapen: dict[int, object], failures: list[Failure]
) -> None:
    """The decoder's messages give places and no content."""
    try:
        row = json.loads(line.decode(), parse_constant=_no_number, object_pairs_hook=_once)
    except _Twice:
        failures.append(Failure(number, _WHOLE, "has each key once", ""))
    except RecursionError:
        failures.append(Failure(number, _WHOLE, "is JSON", "nested too deep"))
    except ValueError as error:
        failures.append(Failure(number, _WHOLE, "is JSON", excerpt(error)))
    else:
        broken = [Failure(number, column, rule, excerpt(value)) for column, rule, value in _malformed(row)]
        failures += broken
        if broken:
            misshapen[number] = row
        else:
            rows[number] = row


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


def _malformed(row: Any) -> Iterator[tuple[str, str, object]]:
    """(column, rule, what was found) of everything for which a row cannot become a line of the frame."""
    if not isinstance(row, dict):
        yield _WHOLE, "is an object", row
        return
    for key in sorted(row.keys() - {*TEXTS, "messages"}):
        yield _WHOLE, "has no key but id, source, language, messages", key
    for key in TEXTS:
        yield from _no_text(key, row, key)
    messages = row.get("messages")
    if messages is None:
        yield "messages", NOT_NULL if "messages" in row else "is there", messages
    elif not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        yield "messages", "is a list of objects", messages
    else:
        for message in messages:
            yield from _malformed_message(message)


def _malformed_message(message: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    for key in sorted(message.keys() - {"role", "content"}):
        yield "messages", "has no key but role, content", key
    for key in ("role", "content"):
        yield from _no_text(f"messages.{key}", message, key)
    if isinstance(message.get("role"), str) and message["role"] not in SPEAKERS:
        yield "messages.role", f"is {', '.join(SPEAKERS)}", message["role"]


def _no_text(column: str, values: Mapping[str, Any], key: str) -> Iterator[tuple[str, str, object]]:
    value = values.get(key)
    if value is None:
        yield column, NOT_NULL if key in values else "is there", value
    elif not isinstance(value, str):
        yield column, "is text", value
    elif surrogates := [at for at, letter in enumerate(value) if "\ud800" <= letter <= "\udfff"]:
        yield column, "is Unicode", f"U+{ord(value[surrogates[0]]):04X} at character {surrogates[0]} of the text"
    elif "\0" in value:
        yield column, "has no NUL", f"U+0000 at character {value.index(chr(0))} of the text"
