"""The two keys of a prompt: values in, numbers out, the same on every gateway."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

BLOCK = 1024
"""Bytes that count as one; about 250 tokens of English."""
START_BLOCKS = 1
"""Of the first message of a user, or of a prompt without messages: enough to tell conversations apart, and little
enough that one document with many questions has one key."""

Source = Literal["session", "cache_key", "user", "prompt"]
"""What names the conversation: the session header, `prompt_cache_key`, `user`, or the prompt's own beginning."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What of a request its keys are made of."""

    tenant: str
    """Keys of two tenants never meet, so that none finds out by the clock what another has asked."""
    model: str
    adapter: str = ""
    """LoRA adapter, where the model has several."""
    head: bytes = b""
    """What many conversations begin with: system prompt and tools, in the order in which the engine reads them."""
    start: bytes = b""
    """The first message of the user; `keys_of` takes its first blocks."""
    named: str = ""
    """The conversation as the client names it; empty where it does not."""
    source: Source = "prompt"
    """Who has named it."""


@dataclass(frozen=True, slots=True)
class Keys:
    group: int
    """64 bits: of all conversations with the same tenant, model, adapter, system prompt and tools."""
    conversation: int
    """64 bits: of one of them."""
    source: Source = "prompt"


def keys_of(prompt: Prompt) -> Keys:
    """Of a system prompt of several blocks the last one that is not whole is left out of the group: there stand the
    date and the user's name, which make no other group. Every byte is hashed once."""
    whole = len(prompt.head) // BLOCK * BLOCK or len(prompt.head)
    hasher = blake2b(digest_size=8)
    for part in (prompt.tenant.encode(), prompt.model.encode(), prompt.adapter.encode()):
        _add(hasher, part)
    named = hasher.copy()
    _add(hasher, prompt.head[:whole])
    group = _number(hasher)
    if prompt.named:
        _add(named, prompt.source.encode())
        _add(named, prompt.named.encode())
        return Keys(group, _number(named), prompt.source)
    _add(hasher, prompt.head[whole:])
    _add(hasher, prompt.start[: START_BLOCKS * BLOCK])
    return Keys(group, _number(hasher))


def _add(hasher: blake2b, part: bytes) -> None:
    """With its length before it, so that no two ways to cut the same bytes meet."""
    hasher.update(b"%d\0" % len(part))
    hasher.update(part)


def _number(hasher: blake2b) -> int:
    return int.from_bytes(hasher.digest(), "big")
