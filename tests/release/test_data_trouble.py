"""Datasets in trouble: encodings, nothing in them, one answer. The report says where, and which rule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_release.contract import check
from nexus_release.wiring import Connections, Tools

from ..support.datasets import chat, rows, run


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=(tmp_path / "work").as_uri(), registry="http://127.0.0.1:9", remote="none"))


FIRST = len(chat(1))

ENCODINGS: dict[str, tuple[bytes, int, str, str]] = {
    "Latin-1": (
        chat(1) + chat(2, "Où?", "Ici.").decode().encode("latin-1"),
        2,
        "is UTF-8",
        f"{FIRST + 91} of the file",
    ),
    "cut off": (chat(1) + "é".encode()[:1], 2, "is UTF-8", f"byte 0xc3 at 0 of the row, {FIRST} of the file"),
    "surrogate in bytes": (chat(1) + b'{"id": "\xed\xa0\x80"}\n', 2, "is UTF-8", f"0xed at 8 of the row, {FIRST + 8}"),
    "overlong slash": (chat(1) + b'{"id": "\xc0\xaf"}\n', 2, "is UTF-8", "byte 0xc0 at 8"),
    "UTF-16 with its mark": (chat(1).decode().encode("utf-16"), 1, "is UTF-8", "0 of the file: the mark of UTF-16"),
    "UTF-16 without": (chat(1).decode().encode("utf-16-be"), 1, "has no NUL byte", "byte 0x00 at 0 of the row"),
    "byte order mark": (b"\xef\xbb\xbf" + chat(1), 1, "has no byte order mark", "remove the first 3 bytes"),
    "mark in the middle": (chat(1) + b"\xef\xbb\xbf" + chat(2), 2, "is JSON", "BOM"),
    "NUL byte": (chat(1) + chat(2).replace(b"test", b"te\0t"), 2, "has no NUL byte", "byte 0x00 at 25 of the row"),
    "NUL in a text": (chat(1) + chat(2, "a", "b\0"), 2, "has no NUL", "U+0000 at character 1"),
    "lone surrogate": (
        chat(1) + chat(2, "a", "@").replace(b"@", rb"xy\ud83d"),
        2,
        "is Unicode",
        "U+D83D at character 2",
    ),
    "blank": (chat(1) + b"\n" + chat(2), 2, "is not blank", ""),
    "carriage returns alone": (chat(1)[:-1] + b"\r" + chat(2), 1, "is JSON", "Extra data"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_wrong_encoding_is_told_by_row_rule_and_place(tools: Tools, name: str) -> None:
    data, row, rule, place = ENCODINGS[name]
    out, report = run(tools, data)
    (failure,) = [failure for failure in report["failures"] if failure["row"] == row]
    column = "messages.content" if rule in ("has no NUL", "is Unicode") else "(row)"
    assert (failure["rule"], failure["column"]) == (rule, column)
    assert place in failure["value"]
    assert not out.accepted


def test_windows_line_ends_are_well() -> None:
    assert not check(rows(3).replace(b"\n", b"\r\n"), 100).failures


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty: it has no row"),
        (b"\n \n\t\n", "3 of 3 rows break the contract (100.0%), 20.0% are allowed; first: row 1, (row): is not blank"),
    ],
    ids=["empty", "blank lines"],
)
def test_data_without_data_is_refused_for_what_it_is(tools: Tools, data: bytes, reason: str) -> None:
    out, report = run(tools, data)
    assert (out.accepted, out.reason) == (False, reason)
    assert report["good"] == 0


def test_a_column_that_is_nowhere_is_counted(tools: Tools) -> None:
    lines = [json.loads(line) for line in rows(5).splitlines()]
    data = "".join(json.dumps({key: row[key] for key in row if key != "source"}) + "\n" for row in lines)
    out, report = run(tools, data.encode())
    assert report["by_rule"] == {"source: is there": 5}
    assert out.reason.endswith("first: row 1, source: is there")


def test_copies_do_not_count_as_rows(tools: Tools) -> None:
    out, report = run(tools, rows(3) * 50, min_rows=10)
    assert out.reason.startswith("3 good rows remain, 10 are needed; 0 of 150 rows break the contract (0.0%), 147 say")
    assert (report["duplicates"]["rows"], report["duplicates"]["first"][0]) == (147, 4)


@pytest.mark.parametrize("depth", [*range(80, 1100, 17), 100_000])
def test_nesting_of_any_depth_breaks_a_rule_and_nothing_else(depth: int) -> None:
    nest = b"[" * depth + b"]" * depth
    for bad in (nest, b'{"id": ' + nest + b"}", b'{"messages": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"):
        assert {failure.row for failure in check(chat(1) + bad + b"\n", 100).failures} == {2}


def test_one_answer_for_everything_is_refused_and_named(tools: Tools) -> None:
    data = chat(0) + b"".join(chat(n, f"Is {n} odd?", ("Yes.", " YES. ", "yes.")[n % 3]) for n in range(1, 10))
    out, report = run(tools, data)
    assert not out.accepted
    assert out.reason == "messages: 9 of 10 answers are the same (90.0%), that of row 2; 50.0% are allowed"
    assert report["same_answer"] == {"row": 2, "times": 9, "of": 10, "share": 0.9}
    assert run(tools, data, max_same_answer_share=0.9)[0].accepted
