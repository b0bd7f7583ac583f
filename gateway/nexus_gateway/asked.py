"""What the gateway reads of a body: three fields, after making sure that every reader sees the same ones."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from nexus_gateway.errors import INVALID_BODY, UNSUPPORTED_MEDIA, Refusal
from nexus_gateway.exchange import RequestHead

LARGEST = 4 << 20
"""Bytes of a body."""
DEEPEST = 64
"""Of nested arrays and objects."""
_LONGEST_MODEL = 128


class Asked(msgspec.Struct):
    """The fields that decide; everything else goes on as it came."""

    model: str
    stream: bool = False
    user: str = ""


_decode = msgspec.json.Decoder(Asked, strict=True).decode
_DECIDING = re.compile(rb'"(?:model|stream|user)"\s*:', re.IGNORECASE)
_EXACT = re.compile(rb'"(?:model|stream|user)"\s*:')
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def read(head: RequestHead, body: bytes) -> Asked:
    """Raises Refusal."""
    media = head.first(b"content-type").split(b";")[0].strip().lower()
    if media != b"application/json" or head.first(b"content-encoding") not in (b"", b"identity"):
        raise Refusal(UNSUPPORTED_MEDIA)
    _shallow(body)
    try:
        body.decode("utf-8")
        asked = _decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Refusal(INVALID_BODY, f"body: {str(error)[:200]}") from None
    _unambiguous(body)
    if not 0 < len(asked.model) <= _LONGEST_MODEL:
        raise Refusal(INVALID_BODY, f"model: 1 to {_LONGEST_MODEL} characters")
    return asked


def _shallow(body: bytes) -> None:
    """Most bodies have fewer brackets than the limit, and need no walk."""
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return
    depth = 0
    for match in _BRACKETS.finditer(body):
        first = match.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise Refusal(INVALID_BODY, f"body: nested deeper than {DEEPEST}")
        elif first in b"]}":
            depth -= 1


def _unambiguous(body: bytes) -> None:
    """A key that stands twice, or in another case, would be one thing here and another at the engine."""
    found = _DECIDING.findall(body)
    names = [name.split(b'"')[1] for name in found]
    if (
        len(set(map(bytes.lower, names))) == len(names)
        and len(_EXACT.findall(body)) == len(found)
        and b"\\u" not in body
    ):
        return
    try:
        json.loads(body, object_pairs_hook=_Pairs).check()
    except ValueError as error:  # an integer of thousands of digits, which msgspec has passed over
        raise Refusal(INVALID_BODY, f"body: {str(error)[:200]}") from None


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that nothing is lost; only the outermost is checked."""

    def check(self) -> None:
        names = [name for name, _ in self]
        for name in names:
            if name.lower() in ("model", "stream", "user") and (name != name.lower() or names.count(name) > 1):
                raise Refusal(INVALID_BODY, f"{name.lower()}: stands twice, or in another case")
