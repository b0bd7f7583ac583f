"""`nexus diff ID ID`: how two releases differ."""

from __future__ import annotations

import click


@click.command("diff", epilog="Example: nexus diff 3b5d2c9e 9a1f0c44")
@click.argument("one")
@click.argument("other")
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(one: str, other: str, remote: str | None, as_json: bool) -> None:
    """Say how the releases that begin with ONE and OTHER differ in data, base, code, recipe, artifact and quality."""
    from nexus_release.compare import compare, lines
    from nexus_release.wiring import Connections, Tools

    connections = Connections.from_environment()
    tools = Tools(connections.model_copy(update={"remote": remote}) if remote else connections)
    found = compare(tools.repository, tools.store, one, other)
    click.echo(found.model_dump_json(indent=2) if as_json else "\n".join(lines(found)))
