"""Whose prompts an engine may find in its prefix cache again.

An engine that has kept the beginning of a prompt answers faster, and says so in `cached_tokens`: whoever shares the
cache can try out what others have asked. vLLM keeps apart what is asked with another `cache_salt`. Ours follows from
the tenant and what its client says, so that every gateway gives the same one. That is no secret: so no client's own
salt goes to an engine as it is, also where a cache is shared, since another route may lead to the same engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

import msgspec

from nexus_gateway.errors import FIELD_NOT_ALLOWED, Refusal
from nexus_gateway.surfaces import Surface

_SALTED = ("chat", "completions", "responses", "messages")
"""APIs in which there is a salt. vLLM passes over one in `messages`, which is therefore made of chat."""
_FIELD = b"cache_salt"
BLOCKS = ("kv_transfer_params", "ec_transfer_params")
"""Fields by which vLLM's pods tell each other where a KV cache, or an encoder's, lies."""
_NOTHING = (b"", b"null")


def refuse_foreign_blocks(said: Mapping[str, bytes], extras: bytes) -> None:
    """`said`: the body's `BLOCKS`, as written. They name what any pod keeps, and the pods among themselves alone may.
    `extras`: its `vllm_xargs`, which vLLM takes for the same: its values, which are no objects, end an engine that
    looks into them. Raises Refusal."""
    named = [name for name, value in said.items() if value not in _NOTHING]
    named += [f"vllm_xargs.{name}" for name in BLOCKS if name in _keys(extras)]
    if named:
        raise Refusal(FIELD_NOT_ALLOWED, f"{named[0]}: engines alone tell each other where a cache lies; leave it out")


def _keys(written: bytes) -> Collection[str]:
    """Of an object; what is none is the engine's to refuse."""
    try:
        return () if written in _NOTHING else msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return ()


def keeps_prompts(surface: Surface) -> bool:
    """Whether what is asked there stays in a cache that can be salted. To count a prompt's tokens keeps nothing."""
    return surface.api in _SALTED and surface.streams


def salt_of(tenant: str, own: str | None) -> str:
    """`own`: the client's, by which it keeps its users apart among themselves."""
    return hashlib.sha256(f"prefix cache\0{tenant}\0{own or ''}".encode()).hexdigest()


def names_salt(body: bytes) -> bool:
    """Whether an engine would find one in it."""
    if _FIELD not in body and b"\\u" not in body:
        return False
    return msgspec.json.decode(body, type=_Named).cache_salt is not None


class _Named(msgspec.Struct):
    cache_salt: str | None = None


def salted(body: bytes, salt: str) -> bytes:
    """The same with this salt and no other; a body that names none keeps every other byte."""
    written = json.dumps(salt).encode()
    if _FIELD in body or b"\\u" in body:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return msgspec.json.encode(fields | {"cache_salt": msgspec.Raw(written)})
    start = body.index(b"{") + 1
    return b'%s"cache_salt":%s,%s' % (body[:start], written, body[start:])
