"""`nexus lineage WHAT`: from data to whoever serves what was made of it, and back."""

from __future__ import annotations

import json

import click

from nexus_release.commands.change import open_tools
from nexus_release.terminal import plain


@click.command("lineage", epilog="Example: nexus lineage pydoc-chat")
@click.argument("what")
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--json", "as_json", is_flag=True, help="Print each release's record and where it is served as JSON.")
def command(what: str, remote: str | None, as_json: bool) -> None:
    """Show every release that WHAT is part of, from its data to the environments that serve it.

    WHAT is a model, a release (the first 8 digits are enough), or the sha256: digest of a dataset, of the bytes that it
    was read from, of a contract, a base or an artifact. How an environment came to serve it: `nexus explain`.
    """
    from nexus_release.lineage import lineage, text_of

    with open_tools(remote).repository.history() as history:
        found = lineage(history, what)
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    else:
        click.echo(plain("\n".join(line for one in found for line in text_of(one))))
