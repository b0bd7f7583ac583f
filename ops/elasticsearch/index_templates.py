"""Prints an index template, made from the definitions that the gateway's schemas are made from.

    python ops/elasticsearch/index_templates.py gateway-logs > ops/elasticsearch/gateway-logs.template.json

Every field that a line can have has its type here, and nothing else is taken (`dynamic: strict`): a surprise is refused
by ops/vector's programs, with a reason, before Elasticsearch would refuse it without one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from nexus_gateway.telemetry import audit_schema, log_schema

KEYWORD = {"type": "keyword", "ignore_above": 1024}
WORDS = {"type": "match_only_text"}
"""Of free text: found by its words, and without limit of length."""
BY_NAME: dict[str, dict[str, Any]] = {
    "timestamp": {"type": "date"},
    "time": {"type": "date"},
    "started": {"type": "date"},
    "client_ip": {"type": "ip"},  # so that a network finds its addresses
    "reason": WORDS,
}
BY_TYPE: dict[str, dict[str, Any]] = {
    "string": KEYWORD,
    "integer": {"type": "long"},
    "number": {"type": "double"},
    "boolean": {"type": "boolean"},
}
SOURCE = {
    "type": "object",
    "dynamic": "strict",
    "properties": dict.fromkeys(("host", "container", "image", "file", "topic"), KEYWORD),
}
MORE = {"type": "flattened", "ignore_above": 1024}
"""What the schema does not name. One field of the mapping, however many there are."""


def main(name: str) -> int:
    print(json.dumps(TEMPLATES[name], indent=2))
    return 0


def _logs() -> dict[str, Any]:
    lines = (log_schema.RequestLine, log_schema.ShadowLine, log_schema.EventLine)
    return _template("gateway-logs", {**_fields(lines), "source": SOURCE, "more": MORE}, refresh="5s")


def _audit() -> dict[str, Any]:
    moment = {"timestamp": BY_NAME["timestamp"]}
    return _template("gateway-audit", {**moment, **_fields(audit_schema.LINES), "source": SOURCE}, refresh="30s")


def _unparsed() -> dict[str, Any]:
    fields = {
        "timestamp": BY_NAME["timestamp"],
        "reason": KEYWORD,
        "program": KEYWORD,
        "line": WORDS,
        "bytes": BY_TYPE["integer"],
        "source": SOURCE,
    }
    return _template("gateway-unparsed", fields, refresh="30s")


def _fields(lines: Iterable[type[BaseModel]]) -> dict[str, Any]:
    """The union of their fields. A field that two of them have has one type, or this raises."""
    found: dict[str, Any] = {}
    for line in lines:
        schema = line.model_json_schema()
        for name, field in schema["properties"].items():
            kind = BY_NAME.get(name) or _kind(field, schema.get("$defs", {}))
            if found.setdefault(name, kind) != kind:
                raise ValueError(f"{name} is {kind} in {line.__name__} and {found[name]} elsewhere: name it otherwise")
    return found


def _kind(field: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in field:
        part = parts[field["$ref"].rsplit("/", 1)[-1]]
        inner = {name: BY_NAME.get(name) or _kind(one, parts) for name, one in part["properties"].items()}
        return {"type": "object", "dynamic": "strict", "properties": inner}
    if "anyOf" in field:
        return next(_kind(one, parts) for one in field["anyOf"] if one.get("type") != "null")
    if field["type"] == "array":
        return _kind(field["items"], parts)  # Elasticsearch has no arrays: a field has one value or several
    return BY_TYPE[field["type"]]


def _template(name: str, fields: dict[str, Any], refresh: str) -> dict[str, Any]:
    settings = {
        "lifecycle": {"name": name},
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",  # a second copy where there is a second node
        "codec": "best_compression",
        "refresh_interval": refresh,
    }
    mappings = {"dynamic": "strict", "properties": dict(sorted(fields.items()))}
    return {
        "index_patterns": [f"{name}-*"],
        "priority": 500,
        "template": {"settings": {"index": settings}, "mappings": mappings},
    }


TEMPLATES = {"gateway-logs": _logs(), "gateway-audit": _audit(), "gateway-unparsed": _unparsed()}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
