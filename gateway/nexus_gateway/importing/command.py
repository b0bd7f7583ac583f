"""`nexus-gateway import-litellm`: read, translate, check, tell, write."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.importing.litellm_file import read
from nexus_gateway.importing.translate import translate
from nexus_gateway.importing.written import check_alone, document_of, write


def import_litellm(file: Path, out: Path | None, *, as_json: bool) -> int:
    """The status to end with."""
    try:
        imported = translate(read(file), file.name)
        if imported.files:
            write(imported, out) if out else check_alone(imported)
    except ConfigRefused as error:
        click.echo(json.dumps({"refused": str(error)}) if as_json else f"nexus-gateway: {error}", err=not as_json)
        return 2
    click.echo(json.dumps(document_of(imported), indent=2) if as_json else imported.report.page(), nl=as_json)
    if not imported.files:
        click.echo("nexus-gateway: no model of this file can be taken; nothing is written", err=True)
        return 2
    if out and not as_json:
        click.echo(f"\nWritten to {out}. Serve it: nexus-gateway serve --routes {out}/routes.d")
    return 1 if imported.report.missing else 0
