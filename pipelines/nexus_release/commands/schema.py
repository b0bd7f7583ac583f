"""`nexus schema`: the JSON Schema of the files that people write under `environments/`, and of release records."""

from __future__ import annotations

from typing import Any

import click


@click.command("schema", epilog="Example: nexus schema > environments/schema.json")
@click.option(
    "--of",
    "subject",
    type=click.Choice(["environments", "record"]),
    default="environments",
    show_default=True,
    help="Of which files.",
)
def command(subject: str) -> None:
    """Print the JSON Schema of settings and plans, or of release records. `make check` holds environments/schema.json
    and gitops/record.schema.json against it."""
    from nexus_release.journal import json_text

    click.echo(json_text(files_schema() if subject == "environments" else record_schema()), nl=False)


def record_schema() -> dict[str, Any]:
    from nexus_release.record import Record

    schema = Record.model_json_schema()
    definitions = schema.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"Record": schema, **definitions},
        "$ref": "#/$defs/Record",
    }


def files_schema() -> dict[str, Any]:
    """One schema for both kinds of file: a plan has `stable`, anything else is settings.

    Settings may leave out anything, since base.yaml and settings.yaml are complete only together.
    """
    from pydantic.json_schema import models_json_schema

    from nexus_release.config import Settings
    from nexus_release.plan import Plan

    _, schema = models_json_schema([(Settings, "validation"), (Plan, "validation")], ref_template="#/$defs/{model}")
    definitions = schema["$defs"]
    for name in _reachable(definitions, "Settings"):
        definitions[name].pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Files under environments/",
        "$defs": definitions,
        "if": {"required": ["stable"]},
        "then": {"$ref": "#/$defs/Plan"},
        "else": {"$ref": "#/$defs/Settings"},
    }


def _reachable(definitions: dict[str, Any], name: str) -> set[str]:
    found = {name}
    waiting: list[Any] = [definitions[name]]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            target = str(item.get("$ref", "")).removeprefix("#/$defs/")
            if target and target not in found:
                found.add(target)
                waiting.append(definitions[target])
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found
