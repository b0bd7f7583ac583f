"""What the page is made of is what npm's packages hold, and goes with the gateway wherever it goes."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from ops.vendor_console import COPIED, VENDORED

from ..support.client import NODE_MODULES, installed
from ..support.repository import ROOT

STATIC = VENDORED.parent


@pytest.fixture(scope="module")
def packages() -> Path:
    """As npm has laid them out, which holds each to its digest in package-lock.json."""
    installed(NODE_MODULES / "preact", "setup-clients")
    locked = json.loads((NODE_MODULES.parent / "package-lock.json").read_text())["packages"]
    laid = json.loads((NODE_MODULES / ".package-lock.json").read_text())["packages"]
    for package in {source.partition("/")[0] for source in COPIED.values()}:
        name = f"node_modules/{package}"
        assert locked[name]["integrity"].startswith("sha512-")
        assert laid[name]["integrity"] == locked[name]["integrity"], "run `make setup-clients`"
    return NODE_MODULES


@pytest.mark.parametrize("name", COPIED)
def test_a_vendored_file_is_the_package_s(packages: Path, name: str) -> None:
    assert (VENDORED / name).read_bytes() == (packages / COPIED[name]).read_bytes(), "run `make console-vendor`"


def test_nothing_else_is_vendored() -> None:
    assert {path.name for path in VENDORED.iterdir()} == set(COPIED)


def test_a_script_names_no_file_that_is_not_there_and_no_other_place() -> None:
    own = [path for path in STATIC.rglob("*.js") if VENDORED not in path.parents]
    assert own
    for path in own:
        for name in re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8")):
            assert (path.parent / name).is_file(), f"{path.name}: {name}"
    for path in [*own, *STATIC.glob("*.html"), *STATIC.glob("*.css")]:
        assert not re.search(r"https?://|url\(", path.read_text(encoding="utf-8")), path.name


def test_every_file_of_the_page_is_in_git_and_so_in_the_wheel() -> None:
    """hatchling packs whatever of its packages Git does not ignore; the image installs the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "gateway/nexus_gateway" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    there = [str(path) for path in STATIC.rglob("*") if path.is_file()]
    ignored = subprocess.run(["git", "check-ignore", *there], cwd=ROOT, capture_output=True, text=True)
    assert (ignored.returncode, ignored.stdout) == (1, ""), "1: none is ignored"
