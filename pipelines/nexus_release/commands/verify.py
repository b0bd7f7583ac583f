"""`nexus verify ID`: does everything that a release claims hold?"""

from __future__ import annotations

import click

from nexus_terminal.progress import Progress


@click.command("verify", epilog="Example: nexus verify 3b5d2c9e  ·  nexus verify --all --registry")
@click.argument("release", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every record, and each environment's rendered tree.")
@click.option(
    "--registry", "ask", is_flag=True, help="Ask the registry too; without it nothing is asked over a network."
)
@click.option("--strict", is_flag=True, help="End with 1 also where something cannot be proved here.")
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON.")
def command(release: str | None, everything: bool, ask: bool, strict: bool, remote: str | None, as_json: bool) -> None:
    """Recompute every digest of the release that begins with ID: record, history, plans, artifact, dataset, code.

    Ends with 1 where a link lies, and names the file and, where its truth is at hand, the first byte.
    """
    from nexus_release.errors import BadInput
    from nexus_release.verify import lines, verify
    from nexus_release.wiring import Connections, Tools

    if everything == (release is not None):
        raise BadInput("ID", release, "give the beginning of one release id, or --all")
    connections = Connections.from_environment()
    tools = Tools(connections.model_copy(update={"remote": remote}) if remote else connections)
    with Progress("every byte is read and hashed"):
        found = verify(tools.repository, tools.store, tools.signatures, release, tools.registry if ask else None)
    click.echo(found.model_dump_json(indent=2) if as_json else "\n".join(lines(found)))
    unproved = [one for one in found.findings if one.state == "unproved"]
    if found.lies or (strict and unproved):
        raise click.exceptions.Exit(1)
