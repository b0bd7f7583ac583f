"""An answer, and what it says of what made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """By the gateway's headers; empty where it says nothing. `nexus explain` takes revision and release."""

    revision: str = ""
    """SHA-256 of the route files that were served."""
    route: str = ""
    release: str = ""
    """Id of the model's release."""
    request: str = ""
    trace: str = ""
    fallback: str = ""
    """The model that answered in the stead of the one that was asked for."""
    replayed: bool = False
    """True where an earlier request with the same key was answered so."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Provenance:
        return cls(
            revision=headers.get("x-nexus-revision", ""),
            route=headers.get("x-nexus-route", ""),
            release=headers.get("x-nexus-release", ""),
            request=headers.get("x-request-id", ""),
            trace=headers.get("x-trace-id", ""),
            fallback=headers.get("x-fallback-model", ""),
            replayed=headers.get("idempotency-replayed", "") == "true",
        )


@dataclass(frozen=True)
class Usage:
    """Tokens, by the engine's account."""

    prompt: int
    completion: int
    cached: int = 0
    """Part of the prompt that the engine had kept."""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Usage:
        cached = (said.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return cls(said.get("prompt_tokens", 0), said.get("completion_tokens", 0), cached)


@dataclass(frozen=True)
class Answer:
    text: str
    finish_reason: str | None
    """`stop`, `length`, `tool_calls` or `content_filter`."""
    usage: Usage | None
    """None where the engine gives no account."""
    provenance: Provenance
    raw: Mapping[str, Any]
    """All of it, as OpenAI's API has it: calls of tools are there."""

    @classmethod
    def of(cls, document: Mapping[str, Any], provenance: Provenance) -> Answer:
        choice = document["choices"][0]
        usage = document.get("usage")
        return cls(
            text=choice["message"].get("content") or "",
            finish_reason=choice.get("finish_reason"),
            usage=Usage.of(usage) if usage else None,
            provenance=provenance,
            raw=document,
        )
