"""Faults made in bytes that are sound, and documents that are nearly what is looked for."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Fault = tuple[int, int, int]
"""(where, which, how): any numbers are one, so that they can be drawn in any way."""
_PIECES = (
    b'"', b"\\", b"\\u", b"\\ud83d", b"\\u212a", b"{", b"}", b"[", b"]", b":", b",", b" ", b"\t", b"\n", b"\r\n",
    b"\r\n\r\n", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xff", b"\xe2\x84\xaa", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80",
    b"\xc3\xa9", b"0", b"1", b"-", b".", b"e5", b"null", b"true", b"NaN", b'"model":"x",', b'"Model":1,',
    b'"stream":true,', b'"n":3,', b'"n":65537,', b'"user":"u",', b'"max_tokens":null,', b'"max_tokens":7,',
    b'"prompt":[1],', b'"cache_salt":"s",', b'"usage":{"prompt_tokens":1},', b'"prompt_tokens":3,',
    b'"cached_tokens":2,', b'"message":1,', b"\r\nconnection: close", b"\r\ncontent-length: 1", b"\r\nx: y",
    b"\r\ncontent-encoding: gzip", b"x" * 40,
)  # fmt: skip

faults = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 1023), st.integers(0, 1023)), min_size=1, max_size=3
)


def spoiled(data: bytes, made: list[Fault]) -> bytes:
    for where, which, how in made:
        data = _spoiled(data, where % (len(data) + 1), which, how)
    return data


def _spoiled(data: bytes, at: int, which: int, how: int) -> bytes:
    before, after, size = data[:at], data[at:], how % 17 + 1
    match which % 9:
        case 0:
            return before + bytes([(after[0] if after else 0) ^ 1 << how % 8]) + after[1:]
        case 1:
            return before + after[size:]
        case 2:
            return before + after[:size] + after
        case 3:
            return before + after[:size].swapcase() + after[size:]
        case 4:
            return before if how % 4 else after
        case 5:
            return before + bytes([how % 256]) + after
        case 6:
            return before + b"".join(b"\\u%04x" % byte for byte in after[:1]) + after[1:]
        case 7:
            return _behind(data, at, b"{,", _PIECES[how % len(_PIECES)])
        case _:
            return before + _PIECES[how % len(_PIECES)] + after


def _behind(data: bytes, at: int, marks: bytes, piece: bytes) -> bytes:
    """With the piece where a member may begin, or a header."""
    places = [place + 1 for place, byte in enumerate(data) if byte in marks] or [at]
    place = places[at % len(places)]
    return data[:place] + piece + data[place:]


class _Pairs(list[Any]):
    """An object's members, of which some may have the same name."""


def documents(names: list[str]) -> st.SearchStrategy[bytes]:
    """Objects of these names, some in another case, or twice, or within each other."""
    usual, cased = st.sampled_from(names), st.sampled_from(names).flatmap(_in_some_case)
    name = st.one_of(usual, usual, usual, usual, cased, st.text(max_size=4))
    number = st.integers(-2, 9) | st.integers(0, 1 << 33) | st.floats()
    leaf = st.one_of(st.none(), st.booleans(), number, st.text(max_size=6), st.sampled_from(["m", "chat", "a\\b"]))
    value = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | _objects(name, inner), max_leaves=6)
    named = st.sampled_from([[], [("model", "m")], [("usage", _Pairs([("prompt_tokens", 3)]))]])
    whole = st.builds(lambda first, more: _Pairs([*first, *more]), named, _objects(name, value))
    return st.builds(_written, whole, st.booleans(), st.sampled_from(["", " ", "\n\t"]))


def _objects(name: st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[_Pairs]:
    return st.lists(st.tuples(name, value), max_size=4).map(_Pairs)


def _in_some_case(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name.upper(), name.title(), name[0].upper() + name[1:], name[:-1] + name[-1].upper()])


def _written(value: Any, ascii_only: bool, blank: str) -> bytes:
    def text(part: Any) -> str:
        if isinstance(part, _Pairs):
            members = (f"{text(name)}{blank}:{blank}{text(inner)}" for name, inner in part)
            return f"{{{blank}{f'{blank},{blank}'.join(members)}{blank}}}"
        if isinstance(part, list):
            return f"[{blank}{f'{blank},{blank}'.join(map(text, part))}{blank}]"
        return json.dumps(part, ensure_ascii=ascii_only)

    return text(value).encode("utf-8", "surrogatepass")
