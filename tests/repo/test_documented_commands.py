"""Each command that a page shows in a block would be understood by its program: its words, its options, what it
needs. Whether a block is also run, and by which test, says test_documented_runs.py."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from ..support.command_shapes import fault, missing
from ..support.page_blocks import BLOCKS
from ..support.repository import tracked_files
from ..support.shell_words import commands

SHELL = [block for block in BLOCKS if block.language == "sh"]
PAGES = sorted({block.page for block in SHELL})
VARIABLE = re.compile(r"\b((?:NEXUS|GATEWAY)_[A-Z_]+)(?==)")


@pytest.fixture(scope="module")
def looked_at() -> dict[tuple[str, ...], str]:
    """What has been found so far: English and Korean pages show the same."""
    return {}


@pytest.mark.parametrize("page", PAGES)
def test_each_command_in_a_block_would_be_understood(page: str, looked_at: dict[tuple[str, ...], str]) -> None:
    absent = set()
    for block in SHELL:
        for words in commands(block.text) if block.page == page else ():
            if missing(words[0]):
                absent.add(words[0])
                continue
            key = tuple(words)
            looked_at.setdefault(key, fault(words) if key not in looked_at else "")
            assert not looked_at[key], f"{block}: {looked_at[key]}"
    if absent:
        pytest.skip(f"not here (`make services` installs them): {', '.join(sorted(absent))}")


def test_each_block_is_shell() -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not here")
    script = "\n".join(f"function block_{number} {{\n{block.text}\n}}" for number, block in enumerate(SHELL))
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_variable_of_ours_is_one_that_a_program_reads() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in tracked_files() if path.suffix in {".py", ".sh"})
    told = {name for block in SHELL for name in VARIABLE.findall(block.text)}
    assert len(told) > 5
    assert sorted(name for name in told if f'"{name}"' not in sources and f"${name}" not in sources) == []


@pytest.mark.parametrize(
    "line",
    [
        "nexus promote chat --form dev",
        "nexus promot chat",
        "nexus canary chat",
        "X=1 .venv/bin/nexus verify --al",
        "make tset",
        "make load SCENARYO=smoke",
        "kubectl -n nexus get pods --selektor x",
        "kubectl taint node a b=c:NoSchedul",
        "kubectl apply --server-side -k gitops/nowhere",
        "kubectl argo rollouts promote x --namespaze y",
        "docker compose -f ops/compose/mlflow.yaml up --waitt",
        "docker run --rmm image",
        "docker build -f gateway/Dockerfil .",
        "git switch --made x",
        "git swich x",
        "curl --insekure http://x",
        "curl http://x -H 'content-type: application/json' -d '{\"model\": }'",
        "jq '.a | '",
        "openssl ec -pubot",
        "pip install '.[clinet]'",
        "pip install nexus-platform",
        "python docs/examples/python/no.py",
        "model_signing verify key --signatur x y",
        "argo submitt x",
        "grep --invert-mach x",
        "terraform apply",
    ],
)
def test_a_slip_on_a_page_is_found(line: str) -> None:
    (words,) = commands(line)
    if missing(words[0]):
        pytest.skip(f"{words[0]} is not here")
    assert fault(words)


def test_commands_are_found_behind_variables_before_pipes_over_lines_and_within_others() -> None:
    block = """
A=1 nexus status --json | jq . && nexus verify \\
  --all  # every one
until curl -s x 2>/dev/null | grep -q "$(nexus explain chat)"; do sleep 1; done
cat > x <<'END'
nothing here
END
.venv/bin/nexus doctor > out 2>&1 &
{ sed 1d a; echo 'two
lines'; } > b
"""
    assert list(commands(block)) == [
        ["nexus", "status", "--json"],
        ["jq", "."],
        ["nexus", "verify", "--all"],
        ["curl", "-s", "x"],
        ["grep", "-q", "$(nexus explain chat)"],
        ["nexus", "explain", "chat"],
        ["sleep", "1"],
        ["cat"],
        [".venv/bin/nexus", "doctor"],
        ["sed", "1d", "a"],
        ["echo", "two\nlines"],
    ]
