"""Prints docs/reference/cli.md: every word of the three programs, as the programs themselves have it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from nexus_gateway.cli import gateway
from nexus_release.cli import nexus
from nexus_worker.cli import worker

PROGRAMS: dict[str, click.Group] = {"nexus": nexus, "nexus-gateway": gateway, "nexus-worker": worker}
HEAD = """# The command line

Written by `make generate` from the programs; do not edit. All three end with 0, 1 (an error, or something does not
hold), 2 (what was asked cannot be understood) or 130 (a person stopped it); `nexus release` and `nexus drift` with 3
where a gate refuses.

Answers go to standard output, everything else to standard error. Progress and questions are for terminals alone: a
script sees neither, and what it says is done. Colours are for terminals, and not where `NO_COLOR` is set.
`eval "$(nexus completion bash)"` completes words, options, environments and models; zsh and fish likewise.
"""


def main() -> None:
    sys.stdout.write("\n".join(page()))


def page() -> Iterator[str]:
    yield HEAD
    for name, program in PROGRAMS.items():
        yield f"## {name}\n\n{program.help}\n"
        for path, command in commands(name, program, click.Context(program, info_name=name)):
            yield from entry(path, command)


def commands(path: str, group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """(words, command) of every command that does something, in the order of the help."""
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if isinstance(command, click.Group):
            yield from commands(f"{path} {word}", command, click.Context(command, context, word))
        elif command is not None:
            yield f"{path} {word}", command
            for more, deeper in getattr(command, "words", {}).items():
                yield f"{path} {word} {more}", deeper


def entry(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"### {path}\n\n```\n{path} {usage}\n```\n\n{prose(command.help or '')}\n"
    rows = [row(one, context) for one in command.params if isinstance(one, click.Option)]
    if rows:
        yield "| option | what | default |\n| --- | --- | --- |"
        yield "\n".join(rows) + "\n"
    yield f"{prose(command.epilog or '')}\n"


def prose(text: str) -> str:
    """Without line breaks inside a paragraph, and an example as code."""
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return "\n\n".join(example(one) for one in paragraphs)


def example(text: str) -> str:
    head, found, rest = text.partition("Example: ")
    return f"{head}Example: `{rest}`" if found else text


def row(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    said = [option.help or "", f"`{option.envvar}` stands for it." if isinstance(option.envvar, str) else ""]
    default = f"`{option.default}`" if option.show_default and not option.is_flag and option.default != () else ""
    needed = "required" if option.required else default
    cells = (f"`{', '.join(option.opts)}{value}`", " ".join(filter(None, said)), needed)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
