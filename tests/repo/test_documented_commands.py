"""Each command of ours that a page shows in a block would be understood: its words, its options, what it needs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ..support.command_line import ALL, PROGRAMS, understood
from ..support.repository import ROOT, tracked_files

BLOCK = re.compile(r"^ *```(?:sh|bash)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
PAGES = [path for path in tracked_files() if path.suffix == ".md" and BLOCK.search(path.read_text(encoding="utf-8"))]


def written(text: str) -> Iterator[list[str]]:
    """The words of each command of ours in the text's blocks, up to a pipe or another command."""
    for block in BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            for part in re.split(r"\s(?:&&|\|\||\||;|do|then)\s", line):
                words = _words(re.sub(r"^\s*(?:[A-Z_]+=\S*\s+)*(?:\.venv/bin/)?", "", part))
                if words and words[0] in PROGRAMS and len(words) > 1:
                    yield words


def _words(text: str) -> list[str]:
    """Without redirections and comments; what the shell would put in stands for itself."""
    try:
        words = shlex.split(re.sub(r"\$\([^()]*\)", "0", text), comments=True)
    except ValueError:  # a quotation that goes on in another line
        return []
    cut = next((index for index, word in enumerate(words) if re.match(r"^(?:[0-9]?[<>]|&$)", word)), len(words))
    return words[:cut]


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command, and what it is given. Raises KeyError with the words that there are not."""
    for length in (3, 2):
        command = ALL.get(" ".join(words[:length]))
        if command is not None:
            return command, words[length:]
    raise KeyError(" ".join(words[:3]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_in_a_block_would_be_understood(page: Path) -> None:
    for words in written(page.read_text(encoding="utf-8")):
        if {"-h", "--help", "--version"} & set(words):
            continue
        command, given = resolved(words)
        try:
            understood(command, given)
        except (click.ClickException, AssertionError) as error:
            pytest.fail(f"{' '.join(words)}: {error}")


@pytest.mark.parametrize(
    "line", ["nexus promote chat --form dev", "nexus promot chat", "nexus canary chat", "X=1 nexus verify --al"]
)
def test_a_slip_on_a_page_is_found(line: str) -> None:
    (words,) = written(f"```sh\n{line}\n```\n")
    with pytest.raises((KeyError, click.ClickException, AssertionError)):
        understood(*resolved(words))


def test_commands_are_found_behind_variables_before_pipes_and_over_lines() -> None:
    lines = (
        "A=1 nexus status --json | jq . && nexus verify \\",
        "  --all  # every one",
        ".venv/bin/nexus doctor > out",
    )
    text = "\n".join(["```sh", *lines, "```", ""])
    assert list(written(text)) == [["nexus", "status", "--json"], ["nexus", "verify", "--all"], ["nexus", "doctor"]]
