"""Several makes in one clone at once lay one environment after the other, and what is made is not made again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.repository import ROOT

TOOL = """#!/bin/sh
mkdir busy 2>/dev/null || echo overlap >> said
echo "$(basename "$0") $*" >> said
sleep 0.2
rmdir busy 2>/dev/null
exit 0
"""
"""Stands for what lays packages into .venv: says so, and whether another one was at it."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements", "ops/alone.py", "ops/build_native.py"):
        source = ROOT / name
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "uv"):
        tool = tmp_path / ".venv" / "bin" / name
        tool.write_text(TOOL)
        tool.chmod(0o755)
    return tmp_path


def laid(clone: Path, *makes: str) -> list[str]:
    """What was laid into .venv, in its order, by these makes at once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "NEXUS_"))}
    running = [
        subprocess.Popen(
            ["make", f"PYTHON={sys.executable}", *one.split()], cwd=clone, env=kept, stdout=subprocess.PIPE, text=True
        )
        for one in makes
    ]
    for one in running:
        out, _ = one.communicate()
        assert one.returncode == 0, out
    said = (clone / "said").read_text()
    (clone / "said").unlink()
    assert "overlap" not in said
    return re.findall(r"uv pip sync --python .venv/bin/python (\S+)", said)


@pytest.mark.parametrize(
    "makes", [("setup-dev", "setup"), ("setup", "setup-dev", "setup-dev"), ("-j4 setup setup-dev",)]
)
def test_one_lays_packages_after_the_other_and_development_s_stay(clone: Path, makes: tuple[str, ...]) -> None:
    order = laid(clone, *makes)
    assert order[-1] == "requirements/dev.txt"
    assert order.count("requirements/dev.txt") == 1
    assert order.count("requirements/run.txt") <= 1


def test_what_has_become_old_is_laid_once_more(clone: Path) -> None:
    assert laid(clone, "setup-dev") == ["requirements/dev.txt"]
    (clone / "pyproject.toml").touch()
    assert laid(clone, "setup", "setup-dev") == ["requirements/dev.txt"]
