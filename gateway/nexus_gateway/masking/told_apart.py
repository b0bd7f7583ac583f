"""Names by which an engine tells callers apart: masked, they still differ.

A placeholder is the same for everybody's first e-mail address: as a name it would make one caller of all. So a masked
name is a hash instead, the same in every request of a tenant, and another with another tenant or salt.
"""

from __future__ import annotations

import hashlib
import hmac
import json

import msgspec

_NAMES = ("user", "safety_identifier", "prompt_cache_key")
_LENGTH = 32  # of its digits: OpenAI takes 64 characters


def told_apart(said: bytes, masked: bytes, salt: bytes) -> bytes:
    """`masked`: what has been made of `said`, both sound JSON. The same bytes where no name was masked."""
    if masked == said:
        return masked
    before, after = (msgspec.json.decode(body, type=dict[str, msgspec.Raw]) for body in (said, masked))
    hidden = {name: before[name] for name in _NAMES if name in before and before[name] != after[name]}
    hashes = {name: _hashed(written, salt) for name, written in hidden.items() if bytes(written)[:1] == b'"'}
    return msgspec.json.encode(after | hashes) if hashes else masked


def _hashed(written: msgspec.Raw, salt: bytes) -> str:
    value: str = json.loads(bytes(written))
    return hmac.new(salt, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_LENGTH]
