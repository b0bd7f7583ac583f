"""The quickstart, followed from its first command to its last in one shell, as a reader does."""

from __future__ import annotations

import os
import re

import pytest

from ..support.gateway import BIN
from ..support.repository import ROOT
from ..support.shell import said_by, with_free_ports

PAGE = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^([^\n]*)\n+```sh\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile("not run by the tests", re.IGNORECASE)
SECONDS = 240.0


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """In a folder that has what a checkout has."""
    home = tmp_path_factory.mktemp("reader")
    for name in ("pyproject.toml", "environments", "gitops", "gateway", "requirements", "pipelines"):
        (home / name).symlink_to(ROOT / name)
    blocks = [block for announced, block in BLOCKS if not NOT_RUN.search(announced + block)]
    (script,) = with_free_ports(["".join(blocks)])
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_", "MLFLOW_"))
    }
    return said_by(script, home, {**clean, "PATH": f"{BIN}:{clean['PATH']}"}, SECONDS)


def test_all_but_the_download_and_the_demo_is_run() -> None:
    left_out = [block for announced, block in BLOCKS if NOT_RUN.search(announced + block)]
    assert ["git clone" in left_out[0], "make up" in left_out[1]] == [True, True]
    assert (len(left_out), len(BLOCKS)) == (2, 8)


@pytest.mark.parametrize(
    "expected",
    [
        "  ok        lock ",
        "  ok        gitops/prod ",
        ", 1 routes\n",
        '"status":"ready"',
        "HTTP/1.1 200 OK",
        "x-nexus-revision: ",
        "revision  ",
        "policy    policies.dev-key",
        "200\n200\n429\n",
        "refused, with 2",
        '"verdict": "ok"',
    ],
)
def test_it_says_what_the_page_promises(said: str, expected: str) -> None:
    assert expected in said
