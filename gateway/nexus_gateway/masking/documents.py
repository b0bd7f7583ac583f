"""The texts of a JSON document, replaced in its own bytes: what has not changed stays as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from nexus_gateway.masking.places import ROOT, Holder
from nexus_gateway.masking.source_text import SourceText

SPELT_OUT = frozenset({"logprobs", "prompt_logprobs", "token_ids", "prompt_token_ids"})
"""Fields of answers that say the text again, in pieces that nothing can be found in: they become null."""

_SOURCE = frozenset({"arguments"})
"""Keys of texts that are JSON themselves."""
_TOKEN = re.compile(
    r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?|[\[\]{}]|(?<![0-9.eE+-])([0-9]{13,19}+)(?![0-9.eE])', re.DOTALL
)
"""A text, with the colon behind it where it is a key; a bracket; a number of so many digits as may be a card's."""
_DIGITS_OF_A_CARD = range(13, 20)
Rewrite = Callable[[str], str]


def rewritten(document: str, rewrite: Rewrite, gone: frozenset[str] = frozenset()) -> str:
    """Of sound JSON. Keys stay; lists and objects under the keys of `gone` become null."""
    pieces, done = list[str](), 0
    holder, key, listed = ROOT, "", False
    around: list[tuple[Holder, str, bool]] = []
    going, begin = 0, 0  # how deep what goes away was begun, and where
    for token in _TOKEN.finditer(document):
        mark = token[0]
        if mark in "{[":
            if not going and key in gone:
                going, begin = len(around) + 1, token.start()
            around.append((holder, key, listed))
            if mark == "{":
                holder, listed = holder.within(key, listed=listed), False
            else:
                listed = True
        elif mark in "}]":
            if going == len(around):
                pieces += [document[done:begin], "null"]
                done, going = token.end(), 0
            holder, key, listed = around.pop()
        elif going:
            continue
        elif token[2]:
            key = text_of(token[1])
        elif token[3]:
            if (new := _masked_number(token[3], holder, rewrite)) is not None:
                pieces += [document[done : token.start()], quoted(new)]
                done = token.end()
        elif (new := _masked(text_of(token[1]), holder, key, rewrite)) is not None:
            pieces += [document[done : token.start()], quoted(new)]
            done = token.end()
    return "".join(pieces) + document[done:] if pieces else document


def rewritten_value(
    value: Any,
    rewrite: Rewrite,
    gone: frozenset[str] = frozenset(),
    holder: Holder = ROOT,
    key: str = "",
    *,
    listed: bool = False,
) -> Any:
    """The same for a document that is at hand as objects. The same object where nothing has changed."""
    if isinstance(value, str):
        new = _masked(value, holder, key, rewrite)
        return value if new is None else new
    if type(value) is int and len(digits := str(value)) in _DIGITS_OF_A_CARD:
        new = _masked_number(digits, holder, rewrite)
        return value if new is None else new
    if isinstance(value, list):
        if key in gone and value:
            return None
        return _same(value, [rewritten_value(one, rewrite, gone, holder, key, listed=True) for one in value])
    if not isinstance(value, dict):
        return value
    if key in gone and value:
        return None
    inner = holder.within(key, listed=listed)
    return _same(value, {name: rewritten_value(one, rewrite, gone, inner, name) for name, one in value.items()})


def text_of(written: str) -> str:
    """What a text of JSON says; `written` without its quotes."""
    text: str = json.loads(f'"{written}"', strict=False) if "\\" in written else written
    return text


def quoted(text: str) -> str:
    """In JSON, that goes into UTF-8: half of a surrogate pair does not, and stays an escape."""
    written = json.dumps(text, ensure_ascii=False)
    return written if written.isascii() or not re.search("[\ud800-\udfff]", written) else json.dumps(text)


def _masked(text: str, holder: Holder, key: str, rewrite: Rewrite) -> str | None:
    """None where it stays."""
    if not holder.masks(key, text):
        return None
    new = rewrite(text)
    if new == text:
        return None
    return SourceText().feed(new) if key in _SOURCE else new


def _masked_number(digits: str, holder: Holder, rewrite: Rewrite) -> str | None:
    """Of a document's own numbers: those of an object that holds what its caller likes. Elsewhere a long number is a
    time or a count."""
    return None if holder.rule != "free" or (new := rewrite(digits)) == digits else new


def _same(old: Any, new: Any) -> Any:
    before, after = (one.values() if isinstance(one, dict) else one for one in (old, new))
    return old if all(one is other for one, other in zip(before, after, strict=True)) else new
