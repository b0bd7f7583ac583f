"""Prints a page of docs/reference/ from a schema that is committed: `write_page.py http|environment|record`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from http_tables import headers, operations
from schema_tables import tables

ROOT = Path(__file__).resolve().parents[2]
MADE = "Made by `make generate` from [{name}](../../{path}); do not edit."


def http() -> str:
    return _page(
        "HTTP",
        "gateway/openapi.json",
        "What each code of an error means is in [errors](errors.md). `GET /openapi.json` is the same for programs.",
        lambda document: f"{operations(document)}\n\n{headers(document)}",
    )


def environment() -> str:
    def parts(schema: dict[str, Any]) -> str:
        return f"{tables(schema, 'Settings')}\n\n{tables(schema, 'Plan')}"

    return _page(
        "Files of an environment",
        "environments/schema.json",
        "`environments/base.yaml` and an environment's `settings.yaml` are [Settings](#settings), one over the other;\n"
        "each file under `models/` is a [Plan](#plan). Unknown keys are refused, by field, value and mend.",
        parts,
    )


def record() -> str:
    return _page(
        "The release record",
        "gitops/record.schema.json",
        "`gitops/releases/<model>/<id>.json`, append-only. The id is the SHA-256 of the canonical JSON of `content`.",
        lambda schema: tables(schema, "Record"),
    )


def _page(title: str, path: str, lead: str, body: Callable[[Any], str]) -> str:
    schema = json.loads((ROOT / path).read_text(encoding="utf-8"))
    made = MADE.format(name=Path(path).name, path=path)
    return f"# {title}\n\n{made}\n\n{lead}\n\n{body(schema)}\n"


PAGES = {"http": http, "environment": environment, "record": record}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
