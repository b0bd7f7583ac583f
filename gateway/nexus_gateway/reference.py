"""Pages of docs/reference/, made from what the code itself uses."""

from __future__ import annotations

from typing import Any

from nexus_gateway.errors import CONDITIONS
from nexus_gateway.routes_file import RoutesFile
from nexus_gateway.settings import VARIABLES

_MADE = "Made by `nexus-gateway reference {}`; do not edit."
_ERRORS = """\
# What a client is told when something fails

{made}

Every error has OpenAI's envelope, `{{"error": {{"message", "type", "param", "code"}}}}`, with a `code` of ours; under
`/v1/messages` Anthropic's, `{{"type": "error", "error": {{"type", "message", "code"}}, "request_id"}}`. It has the
headers of an answer (`x-request-id`, `x-nexus-revision` and, where they were decided, `x-nexus-route` and
`x-nexus-release`). Before the first byte it is a status; after it the stream ends with one event that has the same
envelope, and without the end mark. 499 is logged where the client left; nobody is told.

| status | code | when | asked again by the gateway | headers besides |
| --- | --- | --- | --- | --- |
{rows}
"""
_AGAIN = {
    "api_not_served": "yes: another endpoint, target or fallback",
    "upstream_rate_limited": "yes: another endpoint, target or fallback, before the first byte",
    "upstream_failed": "yes: another endpoint, target or fallback, before the first byte",
    "upstream_timeout": "yes: another endpoint, target or fallback, before the first byte",
    "overloaded": "yes: a fallback",
    "circuit_open": "yes: a fallback",
}
_HEADERS = {
    "invalid_api_key": "`www-authenticate`",
    "rate_limited": "`retry-after`, `x-ratelimit-*`",
    "upstream_rate_limited": "`retry-after`, 1 to 3600",
    "idempotency_conflict": "`x-should-retry: false`",
    "idempotency_in_progress": "`retry-after`",
    "idempotency_unavailable": "`retry-after`",
    "overloaded": "`retry-after`",
    "circuit_open": "`retry-after`",
    "draining": "`retry-after`",
    "limiter_unavailable": "`retry-after`",
    "responses_unavailable": "`retry-after`",
    "body_timeout": "`connection: close`",
    "body_too_large": "`connection: close`",
}
_SETTINGS = """\
# Settings of the gateway

{made}

## Variables

| variable | default | meaning |
| --- | --- | --- |
{variables}

## Route files

[The schema](../../gateway/routes.schema.json) says the same to editors. Unknown keys are refused.

{files}
"""


def errors_page() -> str:
    rows = (
        f"| {one.status} | `{one.code}` | {one.meaning} | {_AGAIN.get(one.code, 'no')} | {_HEADERS.get(one.code, '')} |"
        for one in sorted(CONDITIONS, key=lambda one: (one.status, one.code))
    )
    return _ERRORS.format(made=_MADE.format("errors"), rows="\n".join(rows))


def settings_page() -> str:
    variables = (f"| `{name}` | {default} | {meaning} |" for name, default, meaning in VARIABLES)
    schema = RoutesFile.model_json_schema()
    parts = {"RoutesFile": schema, **schema["$defs"]}
    sections = (_section(name, part) for name, part in parts.items())
    return _SETTINGS.format(made=_MADE.format("settings"), variables="\n".join(variables), files="\n\n".join(sections))


def _section(name: str, part: dict[str, Any]) -> str:
    required = part.get("required", ())
    rows = [
        f"| `{field}` | {_kind(said)} | {'needed' if field in required else _default(said)} "
        f"| {' '.join(said.get('description', '').split())} |"
        for field, said in part["properties"].items()
    ]
    head = [f"### {name.removesuffix('File')}", "", " ".join(part.get("description", "").split()), ""]
    return "\n".join([*head, "| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _kind(said: dict[str, Any]) -> str:
    if "anyOf" in said or "oneOf" in said:
        kinds = (_kind(one) for one in said.get("anyOf") or said["oneOf"])
        return " or ".join(kind for kind in dict.fromkeys(kinds) if kind != "null")
    if "$ref" in said:
        return str(said["$ref"]).rsplit("/", 1)[-1].removesuffix("File")
    if "const" in said:
        return f"`{said['const']}`"
    if said.get("type") == "array":
        return f"list of {_kind(said['items'])}"
    if said.get("type") == "object":
        return f"name -> {_kind(next(iter(said['patternProperties'].values())))}"
    bounds = [
        f"{sign} {said[key]:g}"
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", ">="), ("maximum", "<="))
        if key in said
    ]
    return " ".join((str(said.get("type", "any")), ", ".join(bounds))).strip()


def _default(said: dict[str, Any]) -> str:
    value = said.get("default")
    return "" if value in (None, [], {}) or isinstance(value, dict) else f"`{value}`"
