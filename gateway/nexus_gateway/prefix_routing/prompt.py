"""What of a body its keys are made of: the beginning of the prompt, in each API that has one. Nothing is refused here;
what cannot be read has the keys of an empty prompt, and the engine says what is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec

from nexus_gateway.prefix_routing.keys import BLOCK, Prompt, Source
from nexus_gateway.surfaces import Surface

_SYSTEM = ("system", "developer")


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    messages: list[_Message] = []
    tools: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    prompt_cache_key: Any = None


_decode = msgspec.json.Decoder(_Body, strict=True).decode
_items = msgspec.json.Decoder(list[_Message], strict=True).decode


def prompt_of(
    surface: Surface, body: bytes, *, tenant: str, model: str, adapter: str = "", session: str = "", user: str = ""
) -> Prompt:
    """`session`: of the header; `user`: as the body names it. Of several names the narrowest counts."""
    try:
        said = _decode(body)
    except msgspec.DecodeError:
        said = _Body()
    cache_key = said.prompt_cache_key if isinstance(said.prompt_cache_key, str) else ""
    names: tuple[tuple[str, Source], ...] = ((session, "session"), (cache_key, "cache_key"), (user, "user"))
    named, source = next(((name, kind) for name, kind in names if name), ("", "prompt"))
    head, start = _beginning(surface, said)
    return Prompt(tenant, model, adapter, head, start, named, source)


def _beginning(surface: Surface, said: _Body) -> tuple[bytes, bytes]:
    """What many conversations begin with, and what one does. JSON as it is written: a client writes the same text the
    same way."""
    if surface.api == "completions":
        prompt = bytes(said.prompt)
        return prompt[:BLOCK], prompt[BLOCK:]
    messages = said.messages
    if surface.api == "responses":
        try:
            messages = _items(said.input)
        except msgspec.DecodeError:  # one text
            messages = [_Message("user", said.input)]
    system = [bytes(one.content) for one in messages if one.role in _SYSTEM]
    head = b"\0".join((bytes(said.tools), bytes(said.functions), bytes(said.system), bytes(said.instructions), *system))
    start = next((bytes(one.content) for one in messages if one.role == "user"), b"")
    return head, start
