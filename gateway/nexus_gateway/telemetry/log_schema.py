"""What a log line holds: the one definition behind `log.schema.json` and docs/reference/log-schema.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nexus_gateway.telemetry.audit_schema import LINES

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Milliseconds = Annotated[float, Field(ge=0)]
Timestamp = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC, to the millisecond.")
]
Tokens = Annotated[int, Field(ge=0)]


class _Line(BaseModel):
    timestamp: Timestamp
    level: Literal["info", "warning", "error"] = Field(
        description="Of a request: `error` from status 500, `warning` from 400."
    )
    logger: Literal["nexus.gateway"]


class RequestLine(_Line):
    """One for each request, at its end."""

    model_config = ConfigDict(extra="forbid")

    message: Literal["request"]
    request_id: str = Field(description="The client's `x-request-id` where it is well-formed, else made here.")
    trace_id: Hex32 = Field(description="The client's, by `traceparent` or `x-trace-id`, else made here.")
    method: str
    path: str = Field(description="The route's template.")
    status: int = Field(ge=100, le=599, description="As the client got it; 499 where it had gone.")
    duration_ms: Milliseconds = Field(description="Of the whole request.")
    upstream: str | None = Field(description="Who was to answer; null where none was chosen.")
    fallback_model: str | None = Field(description="The model that answered in the asked one's stead.")
    client_ip: str | None = Field(description="The network alone: 24 bits of IPv4, 48 of IPv6.")
    route: str | None = Field(description="The route that answered, or was to; null where no route has the model.")
    release: str | None = Field(description="Release id that the upstream serves.")
    revision: str | None = Field(description="Of the configuration that decided.")
    key_id: str | None = Field(description="The key's name; null where the caller is unknown.")
    stream: bool
    prompt_tokens: Tokens = Field(description="By the engine's account; 0 where it gave none.")
    completion_tokens: Tokens = Field(description="By the engine's account; 0 where it gave none.")
    cached_tokens: Tokens = Field(description="Of the prompt's, that the engine had kept from before.")
    sample_rate: float = Field(
        gt=0, le=1, description="Share of such lines that is written: the line stands for 1 / it requests."
    )
    first_byte_ms: Milliseconds = Field(default=0, description="Until the answer's first byte; absent without one.")
    longest_gap_ms: Milliseconds = Field(
        default=0, description="The longest wait for a stream's next event; absent where no stream began."
    )
    idempotency: Literal["first", "replayed", "joined", "conflict", "unkept", "unavailable"] = Field(
        default="first",
        description="What came of its idempotency key: called and kept, given again, shared while it was made, another "
        "body, called and not kept, or refused since nobody could say; absent where it has none.",
    )
    placed: Literal["home", "holder", "new", "next", "beyond", "full", "short", "little"] = Field(
        default="home",
        description="Why its endpoint was asked: it knows the prompt's beginning, or has answered the conversation "
        "lately; `new`: the conversation begins there, where there is room; or home had no room: the next one, one "
        "beyond the group's, or the lightest since all were full; "
        "`short`: the prompt is too short to matter; `little`: too little of such prompts is "
        "found again. Absent where its upstream does not choose by prefix.",
    )
    masked_values: Tokens = Field(
        default=0, description="Different values that were masked in its body and its answer; absent where none was."
    )
    code: str = Field(default="", description="The error's `code`; absent from an answer.")
    reason: str = Field(default="", description="What went wrong, in words; absent from an answer. Free text: masked.")


class Side(BaseModel):
    """One engine's part in a copied request."""

    model_config = ConfigDict(extra="forbid")

    upstream: str
    release: str | None
    status: str = Field(description="The status; `error` where the engine gave no usable answer.")
    duration_ms: Milliseconds
    first_byte_ms: Milliseconds | None = Field(description="Null where nothing came.")
    answer_bytes: Annotated[int, Field(ge=0)]
    prompt_tokens: Tokens
    completion_tokens: Tokens


class ShadowLine(_Line):
    """One for each request that was copied to another engine, when both have ended."""

    model_config = ConfigDict(extra="forbid")

    message: Literal["shadow"]
    request_id: str
    trace_id: Hex32
    route: str = Field(description="The route that was asked for.")
    revision: str
    stream: bool
    primary: Side = Field(description="Who answered the client.")
    shadow: Side = Field(description="Who got the copy.")


class EventLine(_Line):
    """What befalls the process. Some events have fields of their own; texts in them are masked."""

    model_config = ConfigDict(extra="allow")

    message: str = Field(
        description="The event, in words; never `request` or `shadow`.",
        json_schema_extra={"not": {"enum": ["request", "shadow"]}},
    )
    revision: str = Field(default="", description="Of the configuration that was taken.")
    routes: list[str] = Field(default=[], description="The models that are served, at the start.")
    edge: Literal["native", "wire", "asgi"] = Field(
        default="wire", description="Who reads plain requests (`GATEWAY_EDGE`), at the start."
    )
    reason: str = Field(default="", description="Why something was refused. Free text: masked.")


def log_schema() -> dict[str, Any]:
    """JSON Schema of one line of standard output."""
    request, event = RequestLine.model_json_schema(), EventLine.model_json_schema()
    shadow = _inlined(ShadowLine)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Log line of nexus-gateway",
        "if": {"properties": {"message": {"const": "request"}}, "required": ["message"]},
        "then": request,
        "else": {
            "if": {"properties": {"message": {"const": "shadow"}}, "required": ["message"]},
            "then": shadow,
            "else": event,
        },
    }


def _inlined(line: type[BaseModel]) -> dict[str, Any]:
    """Its schema with what it refers to in its place, since a reference would be looked for at the document's root."""
    schema = line.model_json_schema()
    parts = schema.pop("$defs", {})
    for name, field in schema["properties"].items():
        if "$ref" in field:
            schema["properties"][name] = parts[field["$ref"].rsplit("/", 1)[-1]] | {"description": field["description"]}
    return schema


def page() -> str:
    """docs/reference/log-schema.md."""
    parts = [
        _HEAD,
        *(_section(line) for line in (RequestLine, ShadowLine, Side, EventLine)),
        _AUDIT,
        *(_section(line) for line in LINES),
    ]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# Log lines and audit lines

Made by `nexus-gateway reference log` from the definition that the schemas are made from; do not edit.

Standard output has one JSON object a line, in ASCII, so that no text of a client can begin a line of its own
([schema](../../gateway/log.schema.json)). Masked texts have `[email]`, `[iban]`, `[card]`, `[phone]`, `[ip]` and
`[key]` in the place of what names a person or opens a door."""

_AUDIT = """\
# Audit lines

Canonical JSON, each line bound to the one before by its hash ([schema](../../gateway/audit.schema.json));
`nexus-gateway audit verify` checks them."""


def _section(line: type[BaseModel]) -> str:
    schema = line.model_json_schema()
    rows = [_row(name, field, name in schema["required"]) for name, field in schema["properties"].items()]
    return "\n".join(
        [
            f"## {line.__name__}",
            "",
            schema["description"],
            "",
            "| field | type | meaning |",
            "| --- | --- | --- |",
            *rows,
        ]
    )


def _row(name: str, field: dict[str, Any], required: bool) -> str:
    return f"| `{name}` | {_kind(field)}{'' if required else ', optional'} | {field.get('description', '')} |"


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(_kind(one) for one in field["anyOf"])
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return f"array of {_kind(field['items'])}" if field["type"] == "array" else str(field["type"])
