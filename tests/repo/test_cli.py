"""The command lines as a user meets them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nexus_release.cli import COMMANDS

from ..support.command_line import ALL, PROGRAMS, understood
from ..support.releases import plant_environments
from ..support.repository import ROOT
from ..support.terminal import at_a_terminal

BIN = Path(sys.executable).parent
NO_RESULT = {
    *("nexus completion", "nexus-gateway completion", "nexus-worker completion"),  # a script for a shell
    *("nexus schema", "nexus bom", "nexus params", "nexus-gateway schema"),  # JSON, and nothing else
    *("nexus rules", "nexus-gateway reference", "nexus-gateway keys new"),  # a file in its own format
    *("nexus evidence", "nexus step"),  # files are written, and nothing is said
    *("nexus demo", "nexus-gateway serve", "nexus-worker serve", "nexus-worker predictor"),  # they run until they end
}
"""What needs no `--json`."""
CHANGES = {
    *("nexus canary", "nexus promote", "nexus rollback", "nexus canary step", "nexus release", "nexus drift"),
    *("nexus sign", "nexus backup", "nexus restore"),
}
"""What changes Git, the registry, signatures or a place of a person's. `mirror` and `render` have --check."""
ASKED = {"nexus canary", "nexus promote", "nexus rollback", "nexus sign"}
"""What a person is asked before it is done."""


def run(*words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environ}
    )


def options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def examples_of(command: click.Command) -> list[str]:
    """A page may have several, with a dot between."""
    return (command.epilog or "").removeprefix("Example: ").split("  ·  ")


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help_and_an_example_that_it_understands(path: str) -> None:
    command = ALL[path]
    assert command.help
    for example in examples_of(command):
        words = shlex.split(re.sub(r"\$\((?!nexus)[^)]*\)", "0", example).replace('"$(', "").replace(')"', ""))
        at = words.index(path.split()[0])  # after variables, or the eval of a completion
        given = words[at + len(path.split()) :]
        assert words[at : at + len(path.split())] == path.split()
        understood(command, given[: given.index(">")] if ">" in given else given)


def test_an_example_with_a_slip_is_found() -> None:
    with pytest.raises(click.ClickException):
        understood(ALL["nexus promote"], ["chat", "--form", "dev"])
    with pytest.raises(AssertionError):
        understood(ALL["nexus canary"], ["chat"])  # --weight is missing


@pytest.mark.parametrize("path", ALL)
def test_every_option_says_what_it_is(path: str) -> None:
    options = [one for one in ALL[path].params if isinstance(one, click.Option)]
    assert [one.opts[0] for one in options if not one.help] == []


@pytest.mark.parametrize("path", sorted(ALL.keys() - NO_RESULT))
def test_every_command_that_answers_can_answer_in_json(path: str) -> None:
    assert "--json" in options(ALL[path])


@pytest.mark.parametrize("path", sorted(CHANGES))
def test_what_changes_something_can_be_tried_first(path: str) -> None:
    assert "--dry-run" in options(ALL[path])
    assert ("--yes" in options(ALL[path])) == (path in ASKED)


def test_exceptions_are_commands_that_there_are() -> None:
    assert ALL.keys() >= NO_RESULT | CHANGES | ASKED
    assert {path for path, command in ALL.items() if "--yes" in options(command)} == ASKED


@pytest.mark.parametrize("program", ["nexus_release.cli", "nexus_gateway.cli", "nexus_worker.cli"])
def test_help_imports_no_more_than_click(program: str) -> None:
    """The cost of a start is its imports, which can be counted on any machine."""
    heavy = ("pydantic", "yaml", "fastapi", "numpy", "mlflow")
    code = f"import sys, {program}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("nexus", "relese"), "release"),
        (("nexus", "doktor"), "doctor"),
        (("nexus-gateway", "simulat"), "simulate"),
        (("nexus-gateway", "keys", "nwe"), "new"),
        (("nexus-worker", "serv"), "serve"),
    ],
)
def test_an_unknown_command_ends_with_2_and_names_the_nearest(words: tuple[str, ...], nearest: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert f"'{nearest}'" in done.stderr


def test_missing_release_file_ends_with_1_and_says_which(tmp_path: Path) -> None:
    done = run("nexus", "release", "none.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "nexus: none.yaml: no such release file; pipelines/specs/ has examples\n"


ELSEWHERE = {
    "nexus release none.yaml": "has examples",
    "nexus status": "`make demo` plants the one",
    "nexus verify": "give the beginning of one release id, or --all",
    "nexus promote chat --to staging": "`make demo` plants the one",
    "nexus render": "run this in a checkout",
    "nexus policy": "run this in a checkout",
    "nexus cost --env prod": "run this in a checkout",
    "nexus check-pr": "run this in one, with its whole history",
    "nexus diff prod": "run it in a checkout, or name a branch",
    "nexus ask chat hello": "set NEXUS_GATEWAY and NEXUS_GATEWAY_KEY",
    "nexus wait --env prod": "set NEXUS_GATEWAY and NEXUS_GATEWAY_KEY",
    "nexus backup --to backups": "does NEXUS_REMOTE name a Git repository?",
    "nexus bom . --name x": "is a directory",
    "nexus-gateway check routes.d": "name a route file, or a folder of them",
    "nexus-gateway serve --routes routes.d": "name a route file, or a folder of them",
    "nexus-gateway replay .": "name its files, or their folder",
    "nexus-gateway audit verify .": "name the folder of `serve --audit`",
    "nexus-worker serve": "name the folder of a checkpoint, or take --engine mock",
}
"""What is said to somebody who stands in an empty folder."""


@pytest.mark.parametrize("line", ELSEWHERE)
def test_in_the_wrong_place_each_command_says_what_to_do_next(line: str, tmp_path: Path) -> None:
    done = run(*line.split(), cwd=tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert done.returncode in {1, 2}
    assert ELSEWHERE[line] in done.stderr
    assert "Traceback" not in done.stderr


def test_release_file_with_an_unknown_key_ends_with_2_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("model: chat\ndataset: data.jsonl\nquantise: {}\n")
    done = run("nexus", "release", "spec.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "quantise" in done.stderr


def test_step_with_bad_input_ends_with_2_and_names_the_field(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps({"dataset": "sha256:" + "0" * 64, "recipe": {"steps": "many"}}))
    done = run(
        "nexus", "step", "train", "--in", "in.json", "--out", "out.json", "--work", tmp_path.as_uri(), cwd=tmp_path
    )
    assert done.returncode == 2
    assert "recipe.steps" in done.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(program: str, shell: str) -> None:
    done = run(program, "completion", shell)
    assert done.returncode == 0
    assert f"_{program.upper().replace('-', '_')}_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("program", "typed", "at", "offered"),
    [
        ("nexus", "nexus rol", 1, ["rollback"]),
        ("nexus", "nexus promote --to st", 3, []),
        ("nexus", "nexus promote --env st", 3, ["staging"]),
        ("nexus", "nexus rollback --dr", 2, ["--dry-run"]),
        ("nexus", "nexus rollback acme", 2, ["acme-chat"]),
        ("nexus-gateway", "nexus-gateway audit v", 2, ["verify"]),
        ("nexus-worker", "nexus-worker serve --engine m", 3, ["mock"]),
    ],
)
def test_words_options_environments_and_models_are_completed(
    tmp_path: Path, program: str, typed: str, at: int, offered: list[str]
) -> None:
    plant_environments(tmp_path)
    (tmp_path / "environments" / "staging" / "models").mkdir()
    (tmp_path / "environments" / "staging" / "models" / "acme-chat.yaml").write_text("model: acme-chat\nstable: {}\n")
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    done = run(program, cwd=tmp_path, **{variable: "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(at)})
    assert done.stdout.split() == [f"plain,{word}" for word in offered]


def test_every_word_of_nexus_has_a_section_of_the_help() -> None:
    told = run("nexus", "--help").stdout
    assert [word for word in COMMANDS if f"\n  {word} " not in told] == []
    modules = {path.stem.replace("_", "-") for path in (ROOT / "pipelines/nexus_release/commands").glob("*.py")}
    shared = {"--init--", "arguments", "change", "parts", "canary-step"}
    assert modules - shared == COMMANDS.keys()


@pytest.mark.parametrize("program", ["nexus-gateway", "nexus-worker"])
def test_every_word_of_the_others_has_a_section_too(program: str) -> None:
    group = PROGRAMS[program]
    with click.Context(group) as context:
        assert sorted(group.list_commands(context)) == sorted(group.commands)


DOCTOR = ("nexus", "doctor", "--only", "machine")


def test_colours_and_progress_are_a_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    done = run(*DOCTOR)
    assert "\x1b" not in done.stdout + done.stderr
    assert "..." not in done.stderr
    _, shown = at_a_terminal(*DOCTOR)
    assert "\x1b[32m" in shown
    assert "everything is looked at ... 0 s" in shown


def test_no_color_is_kept_to_on_a_terminal() -> None:
    _, shown = at_a_terminal(*DOCTOR, NO_COLOR="1")
    assert "\x1b[3" not in shown
    assert "git version" in shown
