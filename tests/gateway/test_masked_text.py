"""A text in pieces is masked as the whole text is, whatever it holds and however it is cut, in linear time."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_gateway.masking.documents import rewritten, rewritten_value
from nexus_gateway.masking.patterns import KINDS, Found
from nexus_gateway.masking.rules import Rules
from nexus_gateway.masking.source_text import SourceText
from nexus_gateway.masking.text import LONGEST, MaskedText, masked

VALUES = {
    "kim.yuna@example.org": "email",
    "4111 1111 1111 1111": "card",
    "010-1234-5678": "phone",
    "+82 10 1234 5678": "phone",
    "900101-1234568": "rrn",
    "DE89 3704 0044 0532 0130 00": "iban",
    "192.168.12.7": "ip",
    "2001:db8::17": "ip",
    "sk-abcdefgh12345678": "key",
    "Bearer abc.def": "key",
}
RULES = Rules(KINDS, placeholders=True)
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [*VALUES, "<EMAIL_1>", "<EMAIL_", "eyJ", "DE89", "\\n", "\\u00e9", "\\", "010", "+82", "@", ".org"]
        ),
        st.text(alphabet=" \n\"'.,:;-_/()<>[]{}abAB019é한@+%=", max_size=12),
    ),
    max_size=12,
).map("".join)


def hide(kind: str, value: str) -> str:
    return f"[{kind}]"


def in_pieces(text: str, cuts: list[int]) -> str:
    stream = MaskedText(RULES, hide)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    out = [stream.feed(text[start:end]) for start, end in pairwise(places)]
    return "".join([*out, stream.feed("", last=True)])


@pytest.mark.parametrize(("value", "kind"), VALUES.items())
@pytest.mark.parametrize("around", ["{}", "a {} b", '"{}",', "({}).", "\n{}\n"])
def test_a_value_is_found_however_it_is_cut(value: str, kind: str, around: str) -> None:
    text, hidden = around.format(value), around.format(f"[{kind}]")
    assert masked(text, RULES, hide) == hidden
    for place in range(len(text) + 1):
        assert in_pieces(text, [place]) == hidden
    assert in_pieces(text, list(range(len(text)))) == hidden


@settings(max_examples=400, deadline=None)
@given(PIECES, st.lists(st.integers(min_value=0, max_value=10_000), max_size=20))
@example("010-1234-5678 010-1234-5678", [3, 9, 14, 20])
def test_pieces_say_what_the_whole_says(text: str, cuts: list[int]) -> None:
    assert in_pieces(text, cuts) == masked(text, RULES, hide)
    assert in_pieces(text, list(range(len(text)))) == masked(text, RULES, hide)


@settings(max_examples=200, deadline=None)
@given(PIECES)
def test_no_more_is_held_back_than_a_value_may_be_long(text: str) -> None:
    stream, out = MaskedText(RULES, lambda kind, value: value), 0
    for number, letter in enumerate(text, 1):
        out += len(stream.feed(letter))
        assert number - out <= LONGEST + 1


class Counting:
    """Finds what the rules find, and counts the characters that it is shown."""

    def __init__(self) -> None:
        self.shown = 0

    def may_hold(self, text: str) -> bool:
        return True

    def find(self, text: str) -> list[Found]:
        self.shown += len(text)
        return RULES.find(text)


@pytest.mark.parametrize(
    "unit",
    ["a", "1", "1 ", "a@", "a.", "@", "-", "<", "<EMAIL_", "eyJ", "Bearer ", "DE89", "0:", "\\", '"', "+8", "( "],
)
@pytest.mark.parametrize("feed", [1, 7, 4096])
def test_hostile_text_is_looked_at_a_bounded_number_of_times(unit: str, feed: int) -> None:
    def shown(size: int) -> int:
        text, finder = unit * (size // len(unit)), Counting()
        stream = MaskedText(finder, hide)
        for place in range(0, len(text), feed):
            stream.feed(text[place : place + feed])
        stream.feed("", last=True)
        return finder.shown

    assert shown(40_000) <= 4 * 40_000


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('{"a": <CARD_1>, "b": "<CARD_1>"}', '{"a": "<CARD_1>", "b": "<CARD_1>"}'),
        ('{"a\\"<CARD_1>": [<CARD_2>]}', '{"a\\"<CARD_1>": ["<CARD_2>"]}'),
        ('{"a": "x"}', '{"a": "x"}'),
    ],
)
def test_a_placeholder_in_a_number_s_place_gets_quotes(source: str, found: str) -> None:
    assert SourceText().feed(source) == found
    assert json.loads(found)


DOCUMENT = {
    "model": "kim@example.org",
    "messages": [{"role": "user", "name": "kim@example.org", "content": "kim@example.org"}],
    "tools": [
        {"function": {"name": "kim@example.org", "parameters": {"description": "kim@example.org", "const": "k@e.org"}}}
    ],
    "metadata": {
        "id": "kim@example.org",
        "card": 4111111111111111,
        "time": 1700000000001,
        "long": 41111111111111110000,
    },
    "embedding": "QUFB" * 30,
    "number": 4111111111111111,
}


@pytest.mark.parametrize("written", [json.dumps(DOCUMENT), json.dumps(DOCUMENT, indent=2, ensure_ascii=False)])
def test_what_is_compared_or_looked_up_stays(written: str) -> None:
    def rewrite(text: str) -> str:
        return masked(text, RULES, hide)

    found = json.loads(rewritten(written, rewrite))
    assert found == rewritten_value(DOCUMENT, rewrite)
    assert (found["model"], found["embedding"], found["number"]) == (
        DOCUMENT["model"],
        DOCUMENT["embedding"],
        DOCUMENT["number"],
    )
    assert found["messages"] == [{"role": "user", "name": "[email]", "content": "[email]"}]
    function = found["tools"][0]["function"]
    assert function == {"name": "kim@example.org", "parameters": {"description": "[email]", "const": "k@e.org"}}
    assert found["metadata"] == DOCUMENT["metadata"] | {"id": "[email]", "card": "[card]"}


def test_a_document_without_values_keeps_its_bytes() -> None:
    numbers = "[ 4111111111111112,-4111111111111111, 4.111111111111111e15 ]"
    written = '{ "b" : "\\u0041\\/", "a":[1.0e3,"x"], "metadata":{"n": ' + numbers + "} }"
    assert rewritten(written, lambda text: masked(text, RULES, hide)) == written
