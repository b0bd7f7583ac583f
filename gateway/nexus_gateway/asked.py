"""What the gateway reads of a body: a few fields, after making sure that every reader sees the same ones."""

from __future__ import annotations

import json
import re
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
        said = [bound for field in surface.bounds if (bound := getattr(self, field)) is not None]
        return max(said, default=None)

    def answers(self, surface: Surface) -> int:
        """How many answers are made for it: `n` to each prompt, or `best_of`, of which it gets the best."""
        made = max([1, *(getattr(self, field) or 1 for field in surface.many)])
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
_DECIDING = re.compile(b'"(?:%s)"\\s*:' % "|".join(_FIELDS).encode(), re.IGNORECASE)
_EXACT = re.compile(_DECIDING.pattern)
_MODEL = re.compile(rb'("model"\s*:\s*)("[^"\\]*+(?:\\.[^"\\]*+)*+")')
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""Possessive, so that a text is walked once and without memory of its own."""
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read(head: RequestHead, body: bytes) -> Asked:
    """Raises Refusal."""
    media = head.first(b"content-type").split(b";")[0].strip().lower()
    if media != b"application/json" or head.first(b"content-encoding") not in (b"", b"identity"):
        raise Refusal(UNSUPPORTED_MEDIA)
    try:
        body.decode("utf-8")
        asked = _decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Refusal(INVALID_BODY, f"body: {str(error)[:200]}") from None
    _shallow(body)  # of JSON that is sound: every text has its end, so no walk begins twice
    _unambiguous(body)
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


def _unambiguous(body: bytes) -> None:
    """A key that stands twice, or in another case, would be one thing here and another at the engine."""
    found = _DECIDING.findall(body)
    written = [name.split(b'"')[1] for name in found]
    if (
        len(set(map(bytes.lower, written))) == len(written)
        and len(_EXACT.findall(body)) == len(found)
        and b"\\u" not in body
    ):
        return
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
