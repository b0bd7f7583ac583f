"""The gateway's OpenAPI document as Markdown: what there is, who may ask it, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from schema_tables import kind, text

Document = Mapping[str, Any]
CODE = re.compile(r"`(\w+)`: ")


def operations(document: Document) -> str:
    return "\n\n".join(
        "\n".join(_operation(document, method.upper(), path, said))
        for path, methods in document["paths"].items()
        for method, said in methods.items()
        if isinstance(said, Mapping)
    )


def headers(document: Document) -> str:
    rows = (f"| `{name}` | {text(said['description'])} |" for name, said in document["components"]["headers"].items())
    return "\n".join(["## Headers of answers", "", "| header | meaning |", "| --- | --- |", *rows])


def _operation(document: Document, method: str, path: str, said: Document) -> Iterator[str]:
    yield f"## {method} {path}"
    yield ""
    yield text(said.get("description") or said["summary"])
    yield ""
    yield f"Asked {'with a key or a token' if said.get('security') else 'by everybody'}."
    yield ""
    if "requestBody" in said:
        yield f"Takes: {_fields(document, said['requestBody'])}."
        yield ""
    yield "| status | what comes back |"
    yield "| --- | --- |"
    for status, response in said["responses"].items():
        yield f"| {status} | {_told(str(_found(document, response).get('description', '')))} |"


def _told(description: str) -> str:
    """Of errors their codes alone: what each means is on a page of its own."""
    codes = [f"`{code}`" for code in CODE.findall(description)]
    return ", ".join(codes) or text(description)


def _fields(document: Document, body: Document) -> str:
    schema = next(iter(_found(document, body)["content"].values()))["schema"]
    ours = {
        name: part
        for one in schema.get("allOf", [])
        for name, part in _found(document, one).get("properties", {}).items()
    }
    read = ", ".join(f"`{name}` ({text(kind(part))})" for name, part in ours.items())
    passed = ", ".join(f"`{name}`" for name in schema.get("properties", {}) if name not in ours)
    return "; and passed on: ".join(part for part in (read, passed) if part) or "a JSON object"


def _found(document: Document, said: Document) -> Document:
    """What a reference leads to."""
    while "$ref" in said:
        target: Any = document
        for word in str(said["$ref"]).removeprefix("#/").split("/"):
            target = target[word]
        said = target
    return said
