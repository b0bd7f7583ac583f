"""Audit lines are bound together in C (gateway/native/) as they are in Python."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.telemetry.chain import MARK, Tip, bound, bound_all, bound_text, canonical, line_hash

nexus_native = pytest.importorskip("nexus_native", reason="nexus-native is not built here")

_hash = st.text("0123456789abcdef", min_size=64, max_size=64)
_texts = st.text(max_size=20)


def unbound(**fields: Any) -> bytes:
    """A decision that is written already, but for its place."""
    said = canonical({"kind": "decision", **fields, "previous": "@previous", "seq": "@seq"})
    return said.replace(b"@previous", MARK, 1).replace(b'"@seq"', MARK, 1)


@given(
    tip=st.builds(Tip, st.integers(-1, 2**62), _hash),
    named=st.lists(st.tuples(st.booleans(), _texts, _texts), max_size=9),
)
def test_a_chain_is_the_same_whoever_binds_it(tip: Tip, named: list[tuple[bool, str, str]]) -> None:
    """Where lines of both kinds come together too."""
    decisions = [{"kind": "decision", "decision": "allowed", "model": model, "upstream": at} for _, model, at in named]
    lines: list[dict[str, Any] | bytes] = [
        unbound(**fields) if written and "@" not in model + at else fields
        for fields, (written, model, at) in zip(decisions, named, strict=True)
    ]
    pieces, end = [], tip
    for fields in decisions:
        piece, end = bound(end, fields)
        pieces.append(piece)
    assert bound_all(tip, lines) == (b"".join(pieces), end)


def test_each_line_names_the_one_before_and_its_own_hash() -> None:
    said, hash_, seq = nexus_native.bound_texts("0" * 64, -1, [unbound(model=name) for name in ("a", "b", "c")])
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2] == [*range(seq + 1)]
    assert [line["previous"] for line in lines] == ["0" * 64, *(line["hash"] for line in lines[:2])]
    assert [line["hash"] for line in lines] == [line_hash(line) for line in lines]
    assert lines[-1]["hash"] == hash_


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "without its marks"),
        (b'{"kind":"decision","previous":"\0","seq":1}', "without its marks"),
        (b'{"previous":"\0","seq":\0}', "without its kind"),
        ("no bytes", "bytes"),
        (None, "that is none"),
    ],
)
def test_a_text_that_is_no_decision_is_refused_and_nothing_is_bound(text: Any, fault: str) -> None:
    with pytest.raises((ValueError, TypeError), match=fault):
        nexus_native.bound_texts("0" * 64, 0, [unbound(), text])


@pytest.mark.parametrize("hash_", ["", "0" * 63, "0" * 65, "é" * 64])
def test_a_hash_that_is_none_is_refused(hash_: str) -> None:
    with pytest.raises(ValueError, match=r"hash|ascii"):
        nexus_native.bound_texts(hash_, 0, [unbound()])


def test_one_is_bound_as_many_are() -> None:
    text = unbound(model="m", upstream='"kind":')
    tip = Tip(7, "a" * 64)
    assert bound_all(tip, [text]) == bound_text(tip, text)
