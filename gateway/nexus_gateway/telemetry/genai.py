"""A request and its calls in OpenTelemetry's words: the one place that knows them. Values in, values out.

Names are those of the semantic conventions, of which the GenAI part is still in development; the tests hold them
against the package `opentelemetry-semantic-conventions`. What the conventions have no word for is `nexus.*`. As in log
lines, no text of a body, no credential and no whole address is among the values.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from nexus_gateway.telemetry.logs import mask
from nexus_gateway.telemetry.record import RequestRecord, Try

Attributes = dict[str, str | int | float | bool]

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
"""Path -> `gen_ai.operation.name`; one that the conventions do not know has none."""

PROVIDERS = dict.fromkeys(("/v1/messages", "/v1/messages/count_tokens"), "anthropic")
"""Path -> whose protocol is spoken, where that is not OpenAI's: what `gen_ai.provider.name` means. Who runs the engine
is told by `server.address`."""

_PORTS = {"http": 80, "https": 443}


def request_name(record: RequestRecord) -> str:
    return f"{record.method} {record.path}"


def request_attributes(record: RequestRecord) -> Attributes:
    """Of the span of the whole request. `error.type` is of what is the gateway's or an engine's fault: for a client's
    own fault, and where it has left, the conventions want none."""
    told: dict[str, str | int | float | bool | None] = {
        "http.request.method": record.method,
        "http.route": record.path,
        "http.response.status_code": record.status,
        "client.address": mask(record.client),
        "error.type": record.code if failed(record) else None,
        "gen_ai.operation.name": OPERATIONS.get(record.path),
        "gen_ai.provider.name": PROVIDERS.get(record.path, "openai"),
        "gen_ai.request.model": record.model,
        "gen_ai.request.stream": record.stream,
        **_answered(record),
        "nexus.request_id": record.request_id,
        "nexus.revision": record.revision,
        "nexus.route": record.route,
        "nexus.release": record.release,
        "nexus.key_id": record.key_id,
        "nexus.code": record.code,
        "nexus.fallback_model": record.fallback_model,
        "nexus.tries": len(record.tries),
    }
    return _given(told)


def try_name(record: RequestRecord, called: Try) -> str:
    return f"{OPERATIONS.get(record.path, record.path)} {called.model}"


def try_attributes(record: RequestRecord, number: int) -> Attributes:
    """Of the span of the call with that place among the tries, from 0."""
    called = record.tries[number]
    host, port = _address(called.url)
    answered = number == len(record.tries) - 1 and not called.failure
    told: dict[str, str | int | float | bool | None] = {
        "server.address": host,
        "server.port": port,
        "http.request.method": record.method,
        "http.request.resend_count": number or None,
        "http.response.status_code": int(called.status) if called.status.isdigit() else None,
        "error.type": try_error(called),
        "gen_ai.operation.name": OPERATIONS.get(record.path),
        "gen_ai.provider.name": PROVIDERS.get(record.path, "openai"),
        "gen_ai.request.model": called.model,
        "gen_ai.request.stream": record.stream,
        **(_answered(record) if answered else {}),
        "nexus.upstream": called.upstream,
        "nexus.route": called.route,
        "nexus.release": called.release,
        "nexus.revision": record.revision,
    }
    return _given(told)


def failed(record: RequestRecord) -> bool:
    """Whether the request's span has the status Error: 5xx, and an answer that broke off after it had begun."""
    return bool(record.code) and (record.status >= 500 or record.first_byte > 0)


def try_error(called: Try) -> str | None:
    """Why the call's span has the status Error: the condition, or the engine's own refusal of the client's request."""
    refused = called.status.isdigit() and int(called.status) >= 400
    return called.failure or (called.status if refused or called.status == "cancelled" else None)


def _answered(record: RequestRecord) -> Attributes:
    """What is known of an answer that has begun."""
    if not record.first_byte:
        return {}
    told: dict[str, str | int | float | bool | None] = {
        "gen_ai.response.model": record.fallback_model or record.model,
        "gen_ai.usage.input_tokens": record.prompt_tokens or None,
        "gen_ai.usage.output_tokens": record.completion_tokens or None,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens or None,
    }
    if record.gaps is not None:
        told["gen_ai.response.time_to_first_chunk"] = record.first_byte - record.started
        told["nexus.longest_gap"] = record.gaps.longest
    return _given(told)


def _given(told: dict[str, str | int | float | bool | None]) -> Attributes:
    """Without what is not known."""
    return {name: value for name, value in told.items() if value is not None and value != ""}


@lru_cache(1024)
def _address(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
