"""The house keeps its rooms."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from ..support.repository import ROOT, tracked_files

ASKED_FOR = ["pipelines", "workflows", "dags", "serving", "gateway", "gitops", "environments", "tests", "docs", "ops"]
NO_HOME = {"utils", "common", "helpers", "base", "core", "misc", "util", "helper"}
LOOSE = [
    "pipelines",
    "workflows",
    "dags",
    "serving",
    "gateway",
    "serving/bento",
    "serving/contracts",
    "serving/worker",
    "serving/vllm",
]
PYTHON = [path for path in tracked_files() if path.suffix == ".py" and "_pb2" not in path.stem]
"""Written by people."""
LINES = 400


@pytest.mark.parametrize("folder", ASKED_FOR)
def test_each_room_stands_and_is_described(folder: str) -> None:
    assert any(path.is_relative_to(ROOT / folder) for path in tracked_files())
    assert f"`{folder}/" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", LOOSE)
def test_folders_of_loose_files_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    folders = {part for path in tracked_files() for part in path.relative_to(ROOT).parts[:-1]}
    names = folders | {path.stem for path in PYTHON}
    assert not names & NO_HOME


def test_no_folder_bears_the_name_of_a_library() -> None:
    """An empty folder `bentoml/` would be imported in the library's stead."""
    libraries = set(importlib.metadata.packages_distributions())
    folders = {
        part
        for path in tracked_files()
        for part in path.relative_to(ROOT).parts[:1]
        if (ROOT / part).is_dir() and part != "tests"
    }
    assert not folders & libraries


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_every_exception_to_the_linter_and_the_types_says_why() -> None:
    bare = re.compile(r"#\s*(noqa|type:\s*ignore)(?!\S*\[?[^#]*\]?\s*(-|#)\s*\w)")
    for path in PYTHON:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not bare.search(line) or "re.compile" in line, f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_locks_name_no_index() -> None:
    for path in ROOT.joinpath("requirements").glob("*.txt"):
        assert "://" not in re.sub(r"#.*", "", path.read_text(encoding="utf-8")), path.name
