"""What the gateway reads of a body: a few fields, after making sure that every reader sees the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Annotated, Any

import msgspec

from nexus_gateway.errors import INVALID_BODY, UNSUPPORTED_MEDIA, Refusal
from nexus_gateway.exchange import RequestHead
from nexus_gateway.prefix_cache import BLOCKS, refuse_foreign_blocks
from nexus_gateway.surfaces import Surface

LARGEST = 4 << 20
"""Bytes of a body."""
DEEPEST = 64
"""Of nested arrays and objects."""
LONGEST_MODEL = 128
"""Characters of a model's name."""


class Asked(msgspec.Struct):
    """The fields that decide; everything else goes on as it came."""

    model: str
    stream: bool = False
    user: str = ""
    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] | None = None
    n: Annotated[int, msgspec.Meta(ge=0, le=1 << 16)] | None = None
    best_of: Annotated[int, msgspec.Meta(ge=0, le=1 << 16)] | None = None
    prompt: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()
    store: bool | None = None
    previous_response_id: str | None = None
    cache_salt: str | None = None
    kv_transfer_params: msgspec.Raw = msgspec.Raw()
    ec_transfer_params: msgspec.Raw = msgspec.Raw()
    vllm_xargs: msgspec.Raw = msgspec.Raw()

    def longest(self, surface: Surface) -> int | None:
        """Tokens that an answer may have, as the client says; None where it does not."""
        longest = None
        for field in surface.bounds:
            said = getattr(self, field)
            if said is not None and (longest is None or said > longest):
                longest = said
        return longest

    def answers(self, surface: Surface) -> int:
        """How many answers are made for it: `n` to each prompt, or `best_of`, of which it gets the best."""
        made = 1
        for field in surface.many:
            made = max(made, getattr(self, field) or 1)
        return made * (_prompts(self.prompt) if surface.api == "completions" else 1)

    def speaker(self, surface: Surface) -> str:
        """Who speaks, as the client says; empty where it does not."""
        if surface.api != "messages":
            return self.user
        try:
            return msgspec.json.decode(self.metadata, type=_Metadata).user_id or ""
        except msgspec.DecodeError:  # none was given, or something that is the engine's to refuse
            return ""


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_decode = msgspec.json.Decoder(Asked, strict=True).decode
_FIELDS = (
    "model",
    "stream",
    "user",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "best_of",
    "store",
    "previous_response_id",
    "cache_salt",
    "kv_transfer_params",
    "ec_transfer_params",
    "vllm_xargs",
)
_NAMES = frozenset(name.encode() for name in _FIELDS)
_FOREIGN = frozenset({*(name.encode() for name in BLOCKS), b"vllm_xargs"})
_LETTERS = "".join(sorted({name[0] + name[0].upper() for name in _FIELDS}))
_LIKE_DECIDING = re.compile(rb'"(?!content")([%b][A-Za-z_]*+)"\s*+:' % _LETTERS.encode())
"""Keys at any depth that begin like one of them: `re` takes four times as long for the names themselves, since it tries
each of them at each text of the body. Every message has a `content`."""
_MODEL = re.compile(rb'("model"\s*:\s*)("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_BACKSLASH = ord("\\")
_JSON = b"application/json"
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""Possessive, so that a text is walked once and without memory of its own."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read(head: RequestHead, body: bytes) -> Asked:
    """Raises Refusal."""
    if not is_json(head):
        raise Refusal(UNSUPPORTED_MEDIA)
    return read_body(body)


def is_json(head: RequestHead) -> bool:
    """Whether a body is what is read here, as its head says."""
    media = head.first(b"content-type")
    if media != _JSON and media.split(b";")[0].strip().lower() != _JSON:
        return False
    return head.first(b"content-encoding") in (b"", b"identity")


def read_body(body: bytes) -> Asked:
    """Raises Refusal."""
    try:
        if not body.isascii():  # msgspec does not look into texts that it passes over
            body.decode("utf-8")
        asked = _decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Refusal(INVALID_BODY, f"body: {str(error)[:200]}") from None
    _shallow(body)  # of JSON that is sound: every text has its end, so no walk begins twice
    found = _unambiguous(body)
    if not found.isdisjoint(_FOREIGN):
        refuse_foreign_blocks({name: bytes(getattr(asked, name)) for name in BLOCKS}, bytes(asked.vllm_xargs))
    if not 0 < len(asked.model) <= LONGEST_MODEL:
        raise Refusal(INVALID_BODY, f"model: 1 to {LONGEST_MODEL} characters")
    return asked


def renamed(body: bytes, model: str) -> bytes:
    """The same for another model; every other byte stays where only one key `model` is in the body, at any depth."""
    name = json.dumps(model).encode()
    if len(_MODEL.findall(body)) == 1 and b"\\u" not in body:
        return _MODEL.sub(lambda found: found[1] + name, body)
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(fields | {"model": msgspec.Raw(name)})


def bounded(body: bytes, bounds: tuple[str, ...], most: int) -> bytes:
    """The same with a bound that it did not have, in the first of `bounds`. A bound that is null is none, and must not
    stand beside it."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if fields.keys() & set(bounds):
        kept = {name: value for name, value in fields.items() if name not in bounds}
        return msgspec.json.encode(kept | {bounds[0]: most})
    start = body.index(b"{") + 1
    return b'%s"%s":%d,%s' % (body[:start], bounds[0].encode(), most, body[start:])


def field_names(body: bytes) -> list[str]:
    return list(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))


def _prompts(prompt: msgspec.Raw) -> int:
    """A prompt is a text or a list of tokens; a list of either is several."""
    try:
        parts = msgspec.json.decode(prompt, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return 1
    return len(parts) if parts and bytes(parts[0])[:1] in (b'"', b"[") else 1


def _shallow(body: bytes) -> None:
    """Of JSON that is sound. Most bodies have fewer brackets than the limit; else the innermost pairs are taken away,
    once for each level, which is no loop of ours over the body."""
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return
    left = _TEXTS.sub(b"", body).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(DEEPEST):
        left = left.replace(b"[]", b"")
        if not left:
            return
    raise Refusal(INVALID_BODY, f"body: nested deeper than {DEEPEST}")


def _unambiguous(body: bytes) -> Set[bytes]:
    """A key that stands twice, or in another case, would be one thing here and another at the engine. What comes back
    has all of `_NAMES` that are there, and may have more."""
    written = _LIKE_DECIDING.findall(body)
    once = frozenset(written)
    escaped = _BACKSLASH in body and b"\\u" in body  # a single byte is found twenty times as fast
    if not escaped and (b"".join(written).islower() or not written):
        if len(once) == len(written):
            return once
        deciding = [name for name in written if name in _NAMES]
        if len(set(deciding)) == len(deciding):
            return once
    try:
        # Objects as lists of pairs, so that nothing is lost; `list` costs no call of ours for each of them.
        pairs: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
    except ValueError as error:  # an integer of thousands of digits, which msgspec has passed over
        raise Refusal(INVALID_BODY, f"body: {str(error)[:200]}") from None
    names = [name for name, _ in pairs]
    deciding = [name for name in names if name.lower() in _FIELDS]
    for name in deciding:
        if name != name.lower() or deciding.count(name) > 1:
            raise Refusal(INVALID_BODY, f"{name.lower()}: stands twice, or in another case")
    return _NAMES
