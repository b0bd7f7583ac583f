"""Whether a command that a page shows would be understood by its program, also where it cannot be run: a cluster, a
daemon or a network is not needed for a program to read its words.

Each check takes the words and returns what is wrong with them, or nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import click

from .command_line import ALL, PROGRAMS, understood
from .repository import ROOT

Words = list[str]
Check = Callable[[Words], str]
NOBODY = "127.0.0.1:9"
"""Where no server is: a program that would have asked one has understood its words."""
_SECONDS = 60.0


def fault(words: Words) -> str:
    """What is wrong with a command; nothing where it is right. Unknown programs are wrong."""
    name = words[0].rpartition("/")[2]
    if words[0] in _BUILTINS:
        return ""
    if "/" in words[0] and not words[0].startswith((".venv", "/")):
        return _file(words[0])
    check = _CHECKS.get(name)
    return check(words) if check else f"{words[0]}: nothing here knows how to check it; add it to {Path(__file__).name}"


def missing(name: str) -> bool:
    """Whether the program that checks `name` is not on this machine: its commands cannot be checked then."""
    return name in _BY_ITSELF and shutil.which(name) is None


def _ours(words: Words) -> str:
    if {"-h", "--help", "--version"} & set(words):
        return ""
    words = [words[0].rpartition("/")[2], *words[1:]]
    try:
        understood(*resolved(words))
    except (click.ClickException, AssertionError, KeyError) as error:
        return f"{' '.join(words)}: {error}"
    return ""


def resolved(words: Words) -> tuple[click.Command, Words]:
    """The command of ours, and what it is given. Raises KeyError with the words that there are not."""
    for length in (3, 2):
        command = ALL.get(" ".join(words[:length]))
        if command is not None:
            return command, words[length:]
    raise KeyError(" ".join(words[:3]))


def _make(words: Words) -> str:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    read = makefile + "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ops").rglob("*.sh"))
    for word in words[1:]:
        name, given, _ = word.partition("=")
        if given and not re.search(rf"\b{name}\b", read):
            return f"make {name}=...: no such variable"
        if not given and not word.startswith("-") and word not in targets:
            return f"make {word}: no such target"
    return ""


def _kubectl(words: Words) -> str:
    if words[1] == "argo":
        return _by_grammar(words)
    here = ["kubectl", f"--server=http://{NOBODY}", *words[1:]]
    with tempfile.TemporaryDirectory() as home:
        for name in ("keys.yaml", "company.pem", "signing-key.pem"):
            (Path(home) / name).write_text("x")
        for name in ("gitops", "workflows"):
            (Path(home) / name).symlink_to(ROOT / name)
        done = _run(here, Path(home), HOME=home)
    reached = re.search(r"refused|no objects passed", done.stderr)
    return "" if reached or not done.returncode else done.stderr.strip()


def _docker(words: Words) -> str:
    """Its client refuses an option that there is not, also when it is asked for help."""
    verb = next(index for index in range(1, len(words)) if _is_verb(words, index))
    done = _run([*words[: verb + 1], "--help", *words[verb + 1 :]])
    named = [value for word, value in pairwise(words) if word == "-f"]
    if lacking := [file for file in named if not (ROOT / file).exists()]:
        return f"{' '.join(words)}: no {', '.join(lacking)}"
    return "" if not done.returncode and f"docker {words[1]}" in done.stdout else f"{' '.join(words)}: {done.stderr}"


def _is_verb(words: Words, index: int) -> bool:
    """Behind `compose` and its own options, where they stand."""
    before, word = words[index - 1], words[index]
    return word != "compose" and not word.startswith("-") and before not in {"-f", "--env-file"}


def _git(words: Words) -> str:
    """In an empty repository and without a network: 129 is Git's status for words that it does not understand."""
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(["git", "init", "--quiet", home], check=True)
        done = _run(words, Path(home), HOME=home, GIT_ALLOW_PROTOCOL="none", GIT_EDITOR="true")
    told = done.stderr.strip()
    return told if done.returncode == 129 or "is not a git command" in told else ""


def _curl(words: Words) -> str:
    """Whoever is asked, nobody answers: 7. What it would send as JSON must be JSON."""
    sent = [value for word, value in pairwise(words) if word in {"-d", "--data"}]
    if "content-type: application/json" in words:
        for body in sent:
            try:
                json.loads(body)
            except json.JSONDecodeError as error:
                return f"-d {body}: {error}"
    elif sent:
        return "-d without a content-type"
    bare = [word for index, word in enumerate(words) if not {"--cacert"} & {word, words[index - 1]}]
    with tempfile.TemporaryDirectory() as home:
        done = _run([*bare, "--noproxy", "*", "--connect-to", f"::{NOBODY}", "--retry", "0"], Path(home))
    return "" if done.returncode == 7 else f"{' '.join(words)}: {done.returncode} {done.stderr.strip()}"


def _jq(words: Words) -> str:
    """Without its files: 2 is what it says to those that are not there, 3 to a program that is none."""
    done = _run(words)
    return "" if done.returncode in {0, 2} else done.stderr.strip()


def _pip(words: Words) -> str:
    if words[1] != "install":
        return f"pip {words[1]}"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for word in words[2:]:
        package, _, asked = word.rstrip("]").partition("[")
        if package == "." and not set(asked.split(",")) <= set(extras):
            return f"{word}: extras are {', '.join(extras)}"
        if package != "." and package not in {"vllm"}:
            return f"{word}: a package of another's, or one that nobody has published"
    return ""


def _python(words: Words) -> str:
    """A file of this repository, or a module of it, or one of what a lock holds."""
    if words[1] == "-m":
        module = words[2].replace(".", "/")
        known = any((ROOT / f"{module}{end}").exists() for end in (".py", "/__main__.py"))
        return "" if known or words[2] in {"pytest", "vllm.entrypoints.openai.api_server"} else f"-m {words[2]}"
    return _file(words[1])


def _file(path: str) -> str:
    return "" if (ROOT / path).is_file() else f"{path}: no such file"


def _model_signing(words: Words) -> str:
    from model_signing._cli import main

    command: click.Command = main
    given = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), given[0])
        if found is None:
            return f"model_signing {given[0]}"
        command, given = found, given[1:]
    try:
        command.make_parser(click.Context(command)).parse_args(given)
    except click.ClickException as error:
        return str(error)
    return ""


def _by_help(*words: str) -> Check:
    """Each option stands in what the program says of itself."""

    def check(given: Words) -> str:
        asked = [given[0], *given[1:2], "-help"] if words == ("-help",) else [given[0], *words]
        told = _help(tuple(asked))
        used = [word for word in given[1:] if re.fullmatch(r"-[A-Za-z0-9]+|--[a-z-]+", word)]
        lacking = [word for word in used if not _stands(word, told, joined=words == ("--help",))]
        return f"{' '.join(given)}: no {', '.join(lacking)}" if lacking else ""

    return check


def _stands(option: str, told: str, *, joined: bool) -> bool:
    """Short options may be written as one: -si. A number is a count: -3, -A1."""
    letters = [f"-{letter}" for letter in option[1:] if letter.isalpha()] if joined and option[1] != "-" else [option]
    return all(re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", told) for one in letters)


@cache
def _help(words: tuple[str, ...]) -> str:
    done = _run(list(words))
    return done.stdout + done.stderr


_GRAMMARS: Mapping[str, frozenset[str]] = {
    "kubectl argo rollouts get rollout": frozenset({"-n", "--watch"}),
    "kubectl argo rollouts promote": frozenset({"-n"}),
    "kubectl argo rollouts abort": frozenset({"-n"}),
    "argo submit": frozenset({"-n", "--from", "--watch", "-p"}),
    "kind load docker-image": frozenset(),
    "bentoml serve": frozenset({"--working-dir", "--port", "--arg"}),
    "bentoml containerize": frozenset({"-t"}),
    "npm install": frozenset({"--no-save"}),
    "node": frozenset(),
    "airflow standalone": frozenset(),
    "airflow dags unpause": frozenset(),
    "airflow dags trigger": frozenset({"--conf"}),
    "airflow connections add": frozenset({"--conn-type", "--conn-host", "--conn-password", "--conn-extra"}),
}
"""Words and options, from their own references, of programs that a test machine may not have."""


def _by_grammar(words: Words) -> str:
    line = " ".join(words[:1]).rpartition("/")[2] + " " + " ".join(words[1:])
    known = next((one for one in _GRAMMARS if f"{line.strip()} ".startswith(f"{one} ")), None)
    if known is None:
        return f"{line}: no such command in _GRAMMARS"
    unknown = {word.partition("=")[0] for word in words if word.startswith("-")} - _GRAMMARS[known]
    return f"{line}: no {', '.join(sorted(unknown))}" if unknown else ""


_BY_HELP = ("cat", "cp", "date", "grep", "head", "ls", "mkdir", "rm", "sed", "sleep", "sort", "wc")
_BY_ITSELF = ("curl", "docker", "git", "jq", "kubectl", "openssl")
_BUILTINS = {".", "cd", "echo", "export", "kill", "printf", "set", "sh", "$EDITOR"}
_CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(PROGRAMS, _ours),
    **dict.fromkeys(_BY_HELP, _by_help("--help")),
    **dict.fromkeys(("python", "python3"), _python),
    **dict.fromkeys({one.split()[0] for one in _GRAMMARS}, _by_grammar),
    "curl": _curl,
    "docker": _docker,
    "git": _git,
    "jq": _jq,
    "kubectl": _kubectl,
    "make": _make,
    "model_signing": _model_signing,
    "openssl": _by_help("-help"),
    "pip": _pip,
}


def _run(words: Words, folder: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as empty:
        return subprocess.run(
            words,
            cwd=folder or empty,
            env={**os.environ, "LC_ALL": "C", **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
