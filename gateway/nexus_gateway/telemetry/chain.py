"""How audit lines are bound together: each has its place and the hash of the one before. Values in, values out.

The chain shows that a line was changed, taken out, moved or put in after it was written. It has no key: whoever can
write the file can also write a new chain from some line to the end. Keep the last hash elsewhere to see that too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import groupby
from types import NoneType
from typing import Any

import msgspec

from nexus_gateway import native

VERSION = 1
"""Of what lines hold, audit_schema.py, and of how they are bound."""
ZEROS = "0" * 64
"""What the first line of a chain has as `previous`."""

_sorted_json = msgspec.json.Encoder(order="sorted").encode
_ALIKE = frozenset({str, int, bool, NoneType})
"""Types of values that msgspec writes as `json` does: not so floats, and what is within other values."""


@dataclass(frozen=True)
class Tip:
    """The end of a chain: its last line's place and hash."""

    seq: int = -1
    hash: str = ZEROS


_KIND = b'"kind":'


def bound(tip: Tip, fields: dict[str, Any]) -> tuple[bytes, Tip]:
    """The line with its end mark, and the chain's new end. Every line has a `kind`."""
    line = {**fields, "seq": tip.seq + 1, "previous": tip.hash}
    text = canonical(line)
    found = hashlib.sha256(text).hexdigest()
    # In the order of names `hash` stands before `kind`: to write the line a second time costs as much as all else. A
    # text with quotes in it is no such place, since JSON has a backslash before each of them; an object within is.
    before, kind, behind = text.partition(_KIND)
    if _KIND in behind:
        said = canonical({**line, "hash": found}) + b"\n"
    else:
        said = b'%b"hash":"%b",%b%b\n' % (before, found.encode(), kind, behind)
    return said, Tip(tip.seq + 1, found)


MARK = b"\0"
"""Where a line that is written already has no `previous`, and behind that no `seq`; JSON has no such byte."""


def bound_text(tip: Tip, text: bytes) -> tuple[bytes, Tip]:
    """As `bound`, of a decision's canonical form with two `MARK`s."""
    text = text.replace(MARK, tip.hash.encode(), 1).replace(MARK, b"%d" % (tip.seq + 1), 1)
    found = hashlib.sha256(text).hexdigest()
    before, kind, behind = text.partition(_KIND)
    return b'%b"hash":"%b",%b%b\n' % (before, found.encode(), kind, behind), Tip(tip.seq + 1, found)


def bound_all(tip: Tip, lines: list[dict[str, Any] | bytes]) -> tuple[bytes, Tip]:
    """The same of many, of which decisions may be written already."""
    pieces = list[bytes]()
    for written, some in groupby(lines, lambda line: isinstance(line, bytes)):
        if written and native.is_loaded():
            said, tip = _bound_in_c(tip, list(some))  # type: ignore[arg-type]  # all of them are bytes
            pieces.append(said)
            continue
        for line in some:
            piece, tip = bound_text(tip, line) if isinstance(line, bytes) else bound(tip, line)
            pieces.append(piece)
    return b"".join(pieces), tip


def _bound_in_c(tip: Tip, texts: list[bytes]) -> tuple[bytes, Tip]:
    from nexus_native import bound_texts

    said, found, seq = bound_texts(tip.hash, tip.seq, texts)
    return said, Tip(seq, found)


def line_hash(line: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything but `hash`."""
    return hashlib.sha256(canonical({name: value for name, value in line.items() if name != "hash"})).hexdigest()


def canonical(line: dict[str, Any]) -> bytes:
    """Names in order, no spaces, ASCII: one line of text has one form, and no line break within. What `json` makes of
    it is the form; msgspec makes the same of nearly all lines in a tenth of the time, and one is made of each request.
    """
    if _ALIKE.issuperset(map(type, line.values())):
        try:
            text = _sorted_json(line)
        except (ValueError, OverflowError, TypeError):  # half characters, numbers beyond 64 bits, a name that is none
            text = b""
        if text.isascii() and text and b"\x7f" not in text:
            return text
    return json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
