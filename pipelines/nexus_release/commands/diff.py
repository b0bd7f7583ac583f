"""`nexus diff`: how two releases differ, or what differs in an environment."""

from __future__ import annotations

import re
from pathlib import Path

import click


@click.command("diff", epilog="Example: nexus diff staging admit/staging/chat/3b5d2c9e0a1b")
@click.argument("one", metavar="ENV|ID")
@click.argument("other", metavar="[REV]|ID", required=False)
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(one: str, other: str | None, remote: str | None, as_json: bool) -> None:
    """Two words of 8 or more hex digits are releases: how they differ in data, base, code, recipe and quality.

    Anything else is an environment, and a branch or a commit of main: what the branch would change there, or what main
    has changed since. Without one, what this checkout's files would change.
    """
    if re.fullmatch("[0-9a-f]{8,64}", one):
        _releases(one, other, remote, as_json)
    else:
        _environment(one, other, remote, as_json)


def _releases(one: str, other: str | None, remote: str | None, as_json: bool) -> None:
    from nexus_release.commands.change import open_tools
    from nexus_release.compare import compare, lines
    from nexus_release.errors import BadInput

    if other is None:
        raise BadInput("ID", one, "name the release that it is compared with, too")
    tools = open_tools(remote)
    found = compare(tools.repository, tools.store, one, other)
    click.echo(found.model_dump_json(indent=2) if as_json else "\n".join(lines(found)))


def _environment(one: str, revision: str | None, remote: str | None, as_json: bool) -> None:
    from nexus_release.commands.arguments import held_environment
    from nexus_release.commands.change import open_tools
    from nexus_release.promotion.changed import by_checkout, lines, since_or_by
    from nexus_release.terminal import plain

    environment, repository = held_environment(one), open_tools(remote).repository
    if revision is None:
        found = by_checkout(repository, environment, Path())
    else:
        found = since_or_by(repository, environment, revision)
    click.echo(found.model_dump_json(indent=2) if as_json else plain("\n".join(lines(found))))
