"""The compiled readers take what clients and engines really send, and find in it what Python finds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_gateway.asked import Asked, read_body
from nexus_gateway.errors import Refusal
from nexus_gateway.straight.usage import usage_in
from nexus_gateway.upstreams.plain_answer import END, LARGEST_PLAIN, plain_answer

from ..support.odd_bodies import ELSEWHERE, LENGTH, ODD, ODD_HEADS, OK, TAKEN, UNCOUNTED, M, longest_head, many_headers
from ..support.spoiling import Fault, documents, faults, spoiled
from ..support.usual_bodies import ANSWERED, ASKED, HEADS

nexus_native = pytest.importorskip("nexus_native", reason="nexus-native is not built")

Reader = Callable[[bytes], tuple[Any, ...] | None]
NUMBERS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of")
ASKED_NAMES = ["model", "stream", *NUMBERS, *ELSEWHERE, "user", "prompt", "metadata", "messages", "max_to\u212aens"]
USAGE_NAMES = [
    "usage", "response", "message", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens",
    "output_tokens", "cache_read_input_tokens", "input_tokens_details", "choices",
]  # fmt: skip
USUAL_ANSWERS = [written for written, _ in ANSWERED]
USUAL_HEADS = [head + b"\r\n" for head in HEADS]


def asked_in_python(body: bytes) -> tuple[Any, ...] | None:
    try:
        found = read_body(body)
    except Refusal:
        return None
    given = (getattr(found, name) for name in NUMBERS)
    numbers = [-1 if number is None else number for number in given]
    assert all(getattr(found, name) == getattr(Asked(""), name) for name in ELSEWHERE), "they are Python's to read"
    return found.model, found.stream, *numbers, bytes(found.prompt)[:1] == b"["


def usage_in_python(body: bytes) -> tuple[int, ...] | None:
    return usage_in(body)


def head_in_python(data: bytes) -> tuple[int, int | None, bool] | None:
    end = data.find(END, 0, LARGEST_PLAIN)
    plain = plain_answer(data[: end + 2]) if end >= 0 else None
    return (end + 4, plain.length, plain.keeps) if plain is not None and plain.straight else None


READERS: dict[str, tuple[Reader, Reader, Sequence[bytes]]] = {
    "asked": (nexus_native.asked, asked_in_python, ASKED),
    "usage": (nexus_native.usage, usage_in_python, USUAL_ANSWERS),
    "head": (nexus_native.answer_head, head_in_python, USUAL_HEADS),
}
"""With what Python says, and what is usual."""


def taken(kind: str, body: bytes) -> tuple[Any, ...] | None:
    """Fails where what is taken is not what Python finds."""
    reader, in_python, _ = READERS[kind]
    found = reader(body)
    assert found is None or found == in_python(body), body
    return found


@pytest.mark.parametrize("kind", READERS)
def test_what_is_usual_is_taken(kind: str) -> None:
    for body in READERS[kind][2]:
        assert taken(kind, body) is not None, body


@pytest.mark.parametrize(("body", "counted"), ANSWERED)
def test_usage_is_what_the_engine_said(body: bytes, counted: tuple[int, int, int]) -> None:
    assert nexus_native.usage(body) == counted


@settings(max_examples=1000)
@given(st.sampled_from(ASKED), faults)
def test_a_body_with_faults_is_read_as_python_reads_it_or_not_at_all(body: bytes, made: list[Fault]) -> None:
    taken("asked", spoiled(body, made))


@settings(max_examples=1000)
@given(st.sampled_from(USUAL_ANSWERS), faults)
def test_an_answer_with_faults_is_counted_as_python_counts_it_or_not_at_all(body: bytes, made: list[Fault]) -> None:
    taken("usage", spoiled(body, made))


@settings(max_examples=1000)
@given(st.sampled_from(USUAL_HEADS), faults)
def test_a_head_with_faults_is_read_as_python_reads_it_or_not_at_all(head: bytes, made: list[Fault]) -> None:
    taken("head", spoiled(head, made))


@settings(max_examples=500)
@given(documents(ASKED_NAMES))
@example(b'{"model":"m","max_to\xe2\x84\xaaens":1}')
def test_any_document_is_read_as_python_reads_it_or_not_at_all(body: bytes) -> None:
    taken("asked", body)


@settings(max_examples=500)
@given(documents(USAGE_NAMES))
def test_any_document_is_counted_as_python_counts_it_or_not_at_all(body: bytes) -> None:
    taken("usage", body)


@pytest.mark.parametrize("kind", READERS)
def test_faults_leave_both_what_is_taken_and_what_is_not(kind: str) -> None:
    """Else the properties above would hold of a reader that takes nothing, or of faults that are none."""
    chance = random.Random(kind)
    usual = READERS[kind][2]
    found = [taken(kind, spoiled(chance.choice(usual), drawn(chance))) is not None for _ in range(2000)]
    assert 200 < sum(found) < 1800


def drawn(chance: random.Random) -> list[Fault]:
    count = chance.choice((1, 1, 1, 2, 3))
    return [(chance.randrange(1 << 20), chance.randrange(1 << 10), chance.randrange(1 << 10)) for _ in range(count)]


def test_a_reader_that_takes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "usage", (lambda body: (12, 5, 0), usage_in_python, USUAL_ANSWERS))
    with pytest.raises(AssertionError):
        test_faults_leave_both_what_is_taken_and_what_is_not("usage")


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN)
def test_a_sound_body_is_taken(body: bytes) -> None:
    assert taken("asked", body) is not None


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_odd_body_is_left_to_python(body: bytes) -> None:
    assert nexus_native.asked(body) is None


def test_what_is_asked_is_told() -> None:
    body = (
        M
        + b'"stream":true,"max_tokens":1,"max_completion_tokens":2,"max_output_tokens":3,"n":4,"best_of":5,"prompt":[]}'
    )
    assert taken("asked", body) == ("m", True, 1, 2, 3, 4, 5, True)
    assert taken("asked", b'{"model":"~ !","prompt":"[","n":null}') == ("~ !", False, -1, -1, -1, -1, -1, False)


@pytest.mark.parametrize("body", UNCOUNTED.values(), ids=UNCOUNTED)
def test_other_usage_is_left_to_python(body: bytes) -> None:
    assert nexus_native.usage(body) is None


@pytest.mark.parametrize("data", ODD_HEADS.values(), ids=ODD_HEADS)
def test_an_odd_head_is_left_to_python(data: bytes) -> None:
    assert nexus_native.answer_head(data) is None


def test_a_plain_head_is_taken_to_its_bounds() -> None:
    for data in (longest_head(LARGEST_PLAIN), many_headers(100)):
        assert taken("head", data) == (data.index(END) + 4, 2, True)
    assert taken("head", OK + LENGTH + b"Connection: CLOSE\r\n\r\nok and another") == (57, 2, False)
