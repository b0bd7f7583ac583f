"""Asks the gateway as any client would: with the OpenAI SDK."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openai

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Provenance:
    """What the gateway says about an answer, from its response headers."""

    revision: str
    route: str
    release: str
    request: str


@dataclass(frozen=True)
class Answer:
    text: str
    provenance: Provenance


def client(gateway: str, key: str) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=f"{gateway}/v1", api_key=key, timeout=_TIMEOUT_SECONDS, max_retries=0)


def ask(sdk: openai.OpenAI, model: str, question: str, *, tokens: int, heard: Callable[[str], None]) -> Answer:
    """Streams one answer; `heard` is called with each piece of text as it comes."""
    raw = sdk.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=tokens,
        temperature=0.0,
        stream=True,
    )
    pieces: list[str] = []
    for chunk in raw.parse():
        if chunk.choices and (piece := chunk.choices[0].delta.content):
            pieces.append(piece)
            heard(piece)
    return Answer("".join(pieces), _provenance(raw.headers))


def count_releases(sdk: openai.OpenAI, model: str, questions: int) -> Counter[str]:
    """Asks `questions` short questions and counts which release answered each."""
    answered: Counter[str] = Counter()
    for number in range(questions):
        raw = sdk.chat.completions.with_raw_response.create(
            model=model,
            messages=[{"role": "user", "content": f"What is module number {number}?"}],
            max_tokens=1,
            temperature=0.0,
        )
        answered[_provenance(raw.headers).release] += 1
    return answered


def _provenance(headers: object) -> Provenance:
    get = headers.get  # type: ignore[attr-defined]  # httpx.Headers, whose type the SDK re-exports under a private name
    return Provenance(
        revision=get("x-nexus-revision", ""),
        route=get("x-nexus-route", ""),
        release=get("x-nexus-release", ""),
        request=get("x-request-id", ""),
    )
