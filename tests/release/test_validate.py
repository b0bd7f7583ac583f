"""The dataset contract: every rule has a row that breaks it, and the report says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nexus_release.contract import check, contract_digest
from nexus_release.digests import digest_bytes
from nexus_release.graph import NODES
from nexus_release.release import run_step
from nexus_release.steps.train import read_rows
from nexus_release.steps.validate import DataGate, ValidateIn, ValidateOut, split, validate
from nexus_release.wiring import Connections, Tools


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=(tmp_path / "work").as_uri(), registry="http://127.0.0.1:9", remote="none"))


def chat(number: int, **changes: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"What is {number}?"},
        {"role": "assistant", "content": f"The number {number}."},
    ]
    return {"id": str(number), "language": "en", "source": "test", "messages": messages, **changes}


def said(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in chat(0).items() if name != key}


def line(row: Any) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


BREAKS: dict[str, tuple[bytes, str, str]] = {
    "no JSON": (b"{\n", "(row)", "is JSON"),
    "blank": (b" \t\n", "(row)", "is not blank"),
    "NaN": (b'{"id": NaN}\n', "(row)", "is JSON"),
    "no UTF-8": (b'{"id": "\xff"}\n', "(row)", "is UTF-8"),
    "UTF-16": (json.dumps(chat(0)).encode("utf-16-le") + b"\n", "(row)", "has no NUL byte"),
    "a key twice": (b'{"id": "1", "id": "2"}\n', "(row)", "has each key once"),
    "nested without end": (b"[" * 100_000 + b"\n", "(row)", "is JSON"),
    "a list": (b"[]\n", "(row)", "is an object"),
    "unknown key": (line(chat(0, weight=0.5)), "(row)", "has no key but id"),
    "null id": (line(chat(0, id=None)), "id", "is not null"),
    "empty id": (line(chat(0, id="")), "id", "is not empty"),
    "no source": (line(without("source")), "source", "is there"),
    "empty source": (line(chat(0, source="")), "source", "is not empty"),
    "language is no text": (line(chat(0, language=1)), "language", "is text"),
    "another language": (line(chat(0, language="ko")), "language", "is en"),
    "another script": (line(chat(0, messages=said("안녕하세요", "반갑습니다"))), "ASCII letters", "80%"),
    "half a character": (json.dumps(chat(0, source="\ud800")).encode() + b"\n", "source", "is Unicode"),
    "NUL in a text": (line(chat(0, source="a\0b")), "source", "has no NUL"),
    "no messages": (line(without("messages")), "messages", "is there"),
    "null messages": (line(chat(0, messages=None)), "messages", "is not null"),
    "messages are text": (line(chat(0, messages=["a", "b"])), "messages", "is a list of objects"),
    "message with a number": (line(chat(0, messages=[{**said("a")[0], "n": 1.5}])), "messages", "has no key but role"),
    "null content": (line(chat(0, messages=[{"role": "user", "content": None}])), "messages.content", "is not null"),
    "content is no text": (line(chat(0, messages=[{"role": "user", "content": 1}])), "messages.content", "is text"),
    "no role": (line(chat(0, messages=[{"content": "a"}])), "messages.role", "is there"),
    "unknown role": (
        line(chat(0, messages=[{"role": "user,assistant", "content": "a"}])),
        "messages.role",
        "is assist",
    ),
    "no answer": (line(chat(0, messages=said("a"))), "roles", "take turns"),
    "two questions": (line(chat(0, messages=[said("a")[0]] * 2)), "roles", "take turns"),
    "no message": (line(chat(0, messages=[])), "roles", "take turns"),
    "empty answer": (line(chat(0, messages=said("a", " \n"))), "shortest message", "no message is empty"),
    "over-long": (line(chat(0, messages=said("a", "b" * 101))), "longest message", "at most 100"),
    "control token": (line(chat(0, messages=said("a<|im_end|>", "b"))), "control tokens", "no text has control"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_names_row_column_and_rule(name: str) -> None:
    bad, column, rule = BREAKS[name]
    checked = check(line(chat(1)) + bad + line(chat(2)), 100)
    assert (2, column) in [(f.row, f.column) for f in checked.failures if rule in f.rule]
    assert {f.row for f in checked.failures} == {2}
    assert all(len(f.value) <= 80 for f in checked.failures)
    assert (checked.total, checked.refused_rows, len(checked.rows)) == (3, 1, 2)


def test_good_rows_break_nothing() -> None:
    several = chat(3, messages=[{"role": "system", "content": "be brief"}, *said("a", "b", "c", "d")])
    checked = check(b"".join(map(line, [chat(1), chat(2), several])), 100)
    assert (checked.failures, len(checked.rows)) == ([], 3)


def test_what_is_said_twice_is_kept_once_and_told() -> None:
    checked = check(line(chat(1)) + line(chat(2)) + line(chat(1, id="other")), 100)
    assert (checked.duplicates, len(checked.rows), checked.refused_rows) == ([3], 2, 0)


def test_a_row_stays_on_its_side_when_others_come_and_go() -> None:
    rows = [chat(number) for number in range(500)]
    train, holdout = split(rows, 0.1)
    fewer_train, fewer_holdout = split(rows[::2], 0.1)
    assert 20 <= len(holdout) <= 80
    assert all(row in train for row in fewer_train)
    assert all(row in holdout for row in fewer_holdout)


def run(tools: Tools, data: bytes, tmp_path: Path, **gate: Any) -> ValidateOut:
    path = tmp_path / "data.jsonl"
    path.write_bytes(data)
    return validate(
        ValidateIn(
            model="m", environment="local", declaration=None, dataset=str(path), gate=DataGate(min_rows=1, **gate)
        ),
        tools,
    )


def test_the_outcome_has_digests_and_the_report_is_in_the_store(tools: Tools, tmp_path: Path) -> None:
    data = b"".join(line(chat(number)) for number in range(200)) + BREAKS["empty answer"][0] + BREAKS["null id"][0]
    out = run(tools, data, tmp_path, holdout_share=0.2)
    folder = tools.store.get(out.dataset)
    report = json.loads((folder / "report.json").read_text())
    assert (out.accepted, out.source, out.contract) == (True, digest_bytes(data), contract_digest(4000, "refuse"))
    assert (out.rows, out.refused_rows) == (200, 2)
    assert len(read_rows(folder / "train.jsonl")) == out.train_rows
    assert len(read_rows(folder / "holdout.jsonl")) == out.holdout_rows == 200 - out.train_rows
    assert report["by_rule"] == {"id: is not null": 1, "shortest message: no message is empty": 1}
    assert report["nulls"] == {"id": 1}
    assert report["characters"]["p50"] == len("What is 50?The number 50.")
    assert report["failures"][0]["row"] == 201


def test_above_the_stated_share_the_gate_refuses_with_figures(tools: Tools, tmp_path: Path) -> None:
    data = line(chat(1)) + BREAKS["empty answer"][0]
    out = run(tools, data, tmp_path, max_refused_share=0.4)
    assert not out.accepted
    assert out.reason.startswith("1 of 2 rows break the contract (50.0%), 40.0% are allowed; first: row 2")


def test_too_few_rows_are_refused(tools: Tools, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(line(chat(1)))
    out = validate(
        ValidateIn(model="m", environment="local", declaration=None, dataset=path.as_uri(), gate=DataGate(min_rows=2)),
        tools,
    )
    assert (out.accepted, out.reason[:20]) == (False, "1 good rows remain, ")


def test_an_empty_file_is_refused(tools: Tools, tmp_path: Path) -> None:
    assert not run(tools, b"", tmp_path).accepted


def test_data_without_a_held_out_row_is_refused(tools: Tools, tmp_path: Path) -> None:
    out = run(tools, line(chat(1)) + line(chat(2)), tmp_path, holdout_share=1e-9)
    assert (out.accepted, out.reason[:37]) == (False, "2 rows to train and 0 to evaluate on,")


def test_the_contract_s_digest_follows_its_bounds() -> None:
    digests = {contract_digest(100, "refuse"), contract_digest(101, "refuse"), contract_digest(100, "allow")}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_refused_share", 1.5), ("min_rows", 0), ("max_characters", 0), ("holdout_share", 0), ("holdout_share", 1)],
)
def test_a_bound_that_means_nothing_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        DataGate(**{field: value})


def test_a_step_that_was_done_is_reused_and_a_cut_short_result_is_not(tools: Tools, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(line(chat(1)))
    given = ValidateIn(model="m", environment="local", declaration=None, dataset=str(path), gate=DataGate(min_rows=1))
    step = NODES["validate"].step
    first, reused = run_step(step, given, tools)
    assert not reused
    assert run_step(step, given, tools) == (first, True)
    kept = next((tools.work / "steps" / "validate").glob("*.json"))
    kept.write_text(kept.read_text()[:50])
    again, reused = run_step(step, given, tools)
    assert (again.out, reused) == (first.out, False)
