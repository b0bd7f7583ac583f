"""The command line as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nexus_release.cli import COMMANDS, nexus

BIN = Path(sys.executable).parent
ANSWERS = ["release", "render", "canary", "promote", "rollback", "verify", "diff", "explain", "status", "schema"]


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BIN / words[0]), *words[1:]], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("word", COMMANDS)
def test_every_word_has_a_command_with_help(word: str) -> None:
    with click.Context(nexus) as context:
        command = nexus.get_command(context, word)
    assert command is not None
    assert command.help


@pytest.mark.parametrize("word", [word for word in ANSWERS if word != "schema"])
def test_every_command_that_answers_can_answer_in_json(word: str) -> None:
    with click.Context(nexus) as context:
        command = nexus.get_command(context, word)
    assert command is not None
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("program", ["nexus_release.cli", "nexus_gateway.cli", "nexus_worker.cli"])
def test_help_imports_no_more_than_click(program: str) -> None:
    """The cost of a start is its imports, which can be counted on any machine."""
    heavy = ("pydantic", "yaml", "fastapi", "numpy", "mlflow")
    code = f"import sys, {program}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_command_ends_with_2() -> None:
    assert run("nexus", "relese").returncode == 2


def test_missing_release_file_ends_with_1_and_says_which(tmp_path: Path) -> None:
    done = run("nexus", "release", "none.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "nexus: none.yaml: no such release file\n"


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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = run("nexus", "completion", shell)
    assert done.returncode == 0
    assert "_NEXUS_COMPLETE" in done.stdout


def test_completion_completes_a_word() -> None:
    done = subprocess.run(
        [str(BIN / "nexus")],
        env={"_NEXUS_COMPLETE": "bash_complete", "COMP_WORDS": "nexus rol", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "plain,rollback"
