"""What of a whole answer is counted, without a document of it: the rest is looked at only to be sure that it is JSON.

Engines nearly always say it in the form of OpenAI's chat and completions. Of any other form nothing is said here, and
`usage_of` reads it as it does for the story; a property test holds that both find the same.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_gateway.stream import Usage

_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
_ABSENT = msgspec.Raw()


class _Details(msgspec.Struct):
    cached_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count
    completion_tokens: _Count = 0
    prompt_tokens_details: _Details | None = None
    output_tokens: msgspec.Raw = _ABSENT
    cache_read_input_tokens: msgspec.Raw = _ABSENT
    input_tokens_details: msgspec.Raw = _ABSENT


class _Answer(msgspec.Struct):
    usage: _Usage
    response: msgspec.Raw = _ABSENT
    message: msgspec.Raw = _ABSENT


_decode = msgspec.json.Decoder(_Answer, strict=True).decode


def usage_in(body: bytes) -> Usage | None:
    """None where it is said in another form, or not at all, or where the answer is no JSON object."""
    try:
        if not body.isascii():  # msgspec does not look into texts that it passes over
            body.decode("utf-8")
        answer = _decode(body)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    usage = answer.usage
    if answer.response or answer.message or usage.output_tokens:
        return None
    if usage.cache_read_input_tokens or usage.input_tokens_details:
        return None
    details, prompt = usage.prompt_tokens_details, usage.prompt_tokens
    cached = details.cached_tokens if details is not None else None
    return Usage(prompt, usage.completion_tokens, min(cached, prompt) if cached else 0)
