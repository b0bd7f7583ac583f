"""What of the gateway is compiled: make builds it where that can be, by tools held to their hashes, and says why where
it cannot; its types are what it has; and without it the gateway serves in Python."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ops.build_native import what_is_missing

from nexus_gateway import native

from ..support.gateway import Gateway
from ..support.repository import ROOT

SOURCES = ROOT / "gateway" / "native"
PACKAGE = SOURCES / "nexus_native"
MISSING = what_is_missing()
can_be_built = pytest.mark.skipif(bool(MISSING), reason=f"the compiled part is left out: {MISSING}")
UNTYPED = (
    r"nexus_native\.\w+\.__(reduce|setstate)_cython__",
    r"nexus_native\.\w+\.__init__",
    r"nexus_native\.__all__",
    *(rf"nexus_native\.{path.stem}" for path in PACKAGE.glob("*.pyx")),
)
"""What Cython adds; what a class is made of, which Python does not tell of a compiled one and the test of the sources
does; and the modules whose names `nexus_native` hands on."""


def test_the_set_up_has_built_it_where_it_can_be() -> None:
    assert native.is_built() is (not MISSING)


class Clone:
    """A clone in which something small stands for the sources."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", "requirements", "ops/alone.py", "ops/build_native.py"):
            source = ROOT / name
            (folder / name).parent.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
        self.package = folder / "gateway" / "native" / "nexus_native"
        self.package.mkdir(parents=True)
        for name in ("pyproject.toml", "setup.py"):
            shutil.copyfile(SOURCES / name, self.package.parent / name)
        (self.package / "__init__.py").write_text("from nexus_native.answer import answer\n")
        self.write(0)
        self.python = folder / ".venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
        uv = self.python.with_name("uv")  # newer than what it is made of, so that make lets it be
        uv.write_text(f'#!/bin/sh\nexec {Path(sys.executable).with_name("uv")} "$@"\n')
        uv.chmod(0o755)

    def write(self, answer: int) -> None:
        (self.package / "answer.pyx").write_text(f"def answer():\n    return {answer}\n")

    def make(self, **given: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "NEXUS_"))}
        return subprocess.run(
            ["make", f"PYTHON={sys.executable}", ".nexus/setup/native"],
            cwd=self.folder,
            env={**kept, **given},
            capture_output=True,
            text=True,
        )

    def answer(self) -> str:
        """Of what is installed, or nothing."""
        asked = [self.python, "-c", "import nexus_native; print(nexus_native.answer())"]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip()

    def files(self) -> set[Path]:
        return set(self.package.parent.rglob("*"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"))


@can_be_built
def test_make_builds_what_has_changed_and_leaves_the_sources_as_they_were(clone: Clone) -> None:
    before = clone.files()
    for answer in (1, 2):
        clone.write(answer)
        made = clone.make()
        assert (made.returncode, clone.answer()) == (0, str(answer)), made.stderr
        assert "==> the gateway's compiled part\n" in made.stdout
    assert "up to date" in clone.make().stdout
    assert clone.files() == before


@can_be_built
def test_without_a_compiler_make_says_so_and_takes_away_what_is_old(clone: Clone) -> None:
    clone.write(3)
    assert clone.make().returncode == 0
    clone.write(4)
    for _ in ("now", "and each time"):
        made = clone.make(CC="no-such-compiler -pthread")
        assert made.returncode == 0, made.stderr
        (said,) = (line for line in made.stdout.splitlines() if line.startswith("==>"))
        assert "left out: there is no no-such-compiler here" in said
        assert "apt-get install gcc python3-dev" in said
        assert clone.answer() == ""
    assert clone.make().returncode == 0
    assert clone.answer() == "4", "whoever gets a compiler has it by the next make"


@can_be_built
def test_a_tool_that_the_lock_does_not_name_by_hash_builds_nothing(clone: Clone) -> None:
    lock = clone.folder / "requirements" / "native.txt"
    text = lock.read_text()
    try:
        lock.write_text(text.partition("setuptools==")[0])
        made = clone.make()
    finally:
        lock.write_text(text)
    assert made.returncode != 0
    assert "no trusted hash was provided for: `setuptools`" in " ".join(made.stderr.split())


@can_be_built
def test_a_fault_of_a_source_stops_make(clone: Clone) -> None:
    (clone.package / "answer.pyx").write_text("def answer(:\n")
    made = clone.make()
    assert made.returncode != 0
    assert "answer.pyx:1" in made.stderr, "it says where"


def stubtest(path: Path) -> list[str]:
    """What of the types below `path` is not as what is installed has it."""
    allowed = path / "allowed"
    allowed.write_text("\n".join(UNTYPED))
    asked = [sys.executable, "-m", "mypy.stubtest", "nexus_native", "--concise", "--ignore-disjoint-bases"]
    done = subprocess.run(
        [*asked, "--allowlist", allowed, "--ignore-unused-allowlist"],
        env={**os.environ, "MYPYPATH": str(path)},
        cwd=path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or done.stdout, done.stderr
    return done.stdout.splitlines() if done.returncode else []


@pytest.fixture
def types(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "nexus_native", ignore=shutil.ignore_patterns("*.py", "*.pyx", "*.pxd"))
    return tmp_path


@can_be_built
def test_its_types_are_what_it_has(types: Path) -> None:
    assert stubtest(types) == []


@can_be_built
@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "def turn(self)",
            "def turn(self, at: float)",
            'Plane.turn is inconsistent, runtime does not have parameter "at"',
        ),
        ("def usage(", "def used(", "used is not present at runtime"),
    ],
)
def test_a_type_that_it_does_not_have_is_told(types: Path, right: str, wrong: str, told: str) -> None:
    stub = types / "nexus_native" / "__init__.pyi"
    assert right in stub.read_text()
    stub.write_text(stub.read_text().replace(right, wrong))
    assert f"nexus_native.{told}" in stubtest(types)


def declared() -> list[tuple[str, list[str]]]:
    """Each class that has types of what it is made of, and these."""
    classes = [one for one in ast.parse((PACKAGE / "__init__.pyi").read_text()).body if isinstance(one, ast.ClassDef)]
    methods = [(one.name, method) for one in classes for method in one.body if isinstance(method, ast.FunctionDef)]
    made_of = [(name, method.args) for name, method in methods if method.name == "__init__"]
    return [(name, [one.arg for one in (*given.args, *given.kwonlyargs)]) for name, given in made_of]


@pytest.mark.parametrize(("name", "declared"), declared())
def test_each_is_made_of_what_its_types_say(name: str, declared: list[str]) -> None:
    text = re.sub(r"#.*", "", "\n".join(path.read_text() for path in sorted(PACKAGE.glob("*.pyx"))))
    (body,) = re.findall(rf"^cdef class {name}\b(.*?)(?=^cdef class |\Z)", text, re.MULTILINE | re.DOTALL)
    (words,) = re.findall(r"def __c?init__\(([^)]*)\)", body)
    named = [word.partition("=")[0].removesuffix(" not None").split() for word in words.split(",")]
    assert [word[-1] for word in named if word and word != ["*"]] == declared


def test_the_image_has_it_by_the_same_hashes_and_leaves_the_compiler_behind() -> None:
    text = (ROOT / "gateway" / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    compiled = stages.pop("compiled")
    assert "pip install --no-deps --require-hashes -r /locks/native.txt" in compiled
    assert "pip wheel --no-deps --no-build-isolation" in compiled, "else pip would take whatever tools are newest"
    rest = "".join(stages.values())
    assert re.findall(r"--from=compiled (.*)", rest) == ["/wheels /wheels"]
    assert "pip install --no-deps /nexus /wheels/*.whl" in rest
    assert "apt-get" not in rest


def hidden(tmp_path: Path) -> dict[str, str]:
    """An environment in which it is not installed, whatever is."""
    (tmp_path / "nexus_native.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(tmp_path), "GATEWAY_UPSTREAMS": "a=mock://local"}


def test_without_it_the_gateway_serves_in_python(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, env={"GATEWAY_EDGE": "", **hidden(tmp_path)}).wait()
    try:
        assert gateway.ask("a").status_code == 200
    finally:
        gateway.stop()
    (started,) = (line for line in gateway.lines() if line["message"] == "started")
    assert started["edge"] == "wire"


def test_without_it_nobody_gets_it_by_name(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, env={"GATEWAY_EDGE": "native", **hidden(tmp_path)})
    assert gateway.process.wait(60) == 2
    assert (
        "GATEWAY_EDGE: 'native': nexus-native is not installed here: write wire, or install it"
        in gateway.log.read_text()
    )
