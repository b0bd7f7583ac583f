"""`nexus explain WHAT`: everything behind an answer."""

from __future__ import annotations

import json

import click

from nexus_release.commands import arguments
from nexus_release.commands.change import open_tools
from nexus_release.terminal import plain


@click.command("explain", epilog="Example: nexus explain pydoc-chat")
@click.argument("what", callback=arguments.sought)
@arguments.in_environment
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--json", "as_json", is_flag=True, help="Print the whole chain as JSON.")
def command(what: str, environment: str, remote: str | None, as_json: bool) -> None:
    """Walk from WHAT to commit, routes, releases, evaluation and dataset, proving each link.

    WHAT is an x-nexus-revision or x-nexus-release header or a commit (the first 8 characters are enough), a model, the
    name of an InferenceService, a registry version (models:/NAME/VERSION), a LoggedModel (m-...), or a record's path or
    sha256: digest.
    """
    from nexus_release.explain import explain, lines

    found = explain(open_tools(remote).repository, what, environment)
    if as_json:
        click.echo(json.dumps(found.model_dump(mode="json"), indent=2))
    else:
        click.echo(plain("\n".join(lines(found))))
