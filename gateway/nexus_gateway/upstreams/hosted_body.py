"""What of a client's body a provider's library is given.

The library takes its own settings (address, key, callbacks, other models) among the fields of a request, and fetches
addresses that it finds in messages from our network. So only OpenAI's fields pass, and no addresses. Closed: what is
not known to be harmless is refused with 400, and never dropped unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nexus_gateway.surfaces import Surface
from nexus_gateway.upstreams.refusals import NotTaken

_LIBRARY = frozenset({"metadata"})
"""OpenAI's fields that have a meaning of their own to the library."""


def arguments(surface: Surface, body: bytes) -> dict[str, Any]:
    """The fields that say something, without `model`. Raises NotTaken."""
    asked: dict[str, Any] = json.loads(body)
    for name in asked:
        if name not in surface.fields or name in _LIBRARY:
            raise NotTaken(name[:64], "a hosted provider is not told this field")
    for tool in asked.get("tools") or ():
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise NotTaken("tools", "a hosted provider is told of functions only")
    if any("://" in text for text in _texts_besides(asked.get("messages"))):
        raise NotTaken("messages", "send images and files as data: URLs; a hosted provider is told no addresses")
    return {name: value for name, value in asked.items() if value is not None and name != "model"}


def _texts_besides(value: Any) -> Iterator[str]:
    """Every text in messages but the written ones: `content` and `text` as plain texts, and functions' arguments."""
    if isinstance(value, list):
        for part in value:
            yield from _texts_besides(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if not (name in ("content", "text", "arguments", "refusal") and isinstance(part, str)):
                yield from _texts_besides(part)
    elif isinstance(value, str):
        yield value
