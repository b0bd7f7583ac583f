"""Every word of the three programs, and whether what somebody has written would be understood."""

from __future__ import annotations

from collections.abc import Iterator

import click

from nexus_gateway.cli import gateway
from nexus_release.cli import nexus
from nexus_worker.cli import worker

PROGRAMS: dict[str, click.Group] = {"nexus": nexus, "nexus-gateway": gateway, "nexus-worker": worker}


def every(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """(words, command) of each that does something."""
    with click.Context(group) as context:
        for word in group.list_commands(context):
            command = group.get_command(context, word)
            assert command is not None, f"{path} {word}"
            if isinstance(command, click.Group):
                yield from every(f"{path} {word}", command)
            else:
                yield f"{path} {word}", command
                yield from ((f"{path} {word} {more}", one) for more, one in getattr(command, "words", {}).items())


ALL = {path: command for name, program in PROGRAMS.items() for path, command in every(name, program)}


def understood(command: click.Command, words: list[str]) -> None:
    """Raises ClickException for an option that there is not, and for what is required and missing."""
    context = click.Context(command, info_name=command.name)
    given, left, _ = command.make_parser(context).parse_args(list(words))
    assert not left, left
    for parameter in command.params:
        value = given.get(str(parameter.name))
        assert not parameter.required or value not in (None, (), click.core.UNSET), parameter.name
