"""`make docs`: the site has every page, nothing of it is asked of a third party, and a broken link stops it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ..support.repository import ROOT, tracked_files

MKDOCS = ROOT / ".venv-docs/bin/mkdocs"
ADDRESS = "https://git.example.com/team/nexus"
ASKED = re.compile(
    r"""<(?:script|img|iframe)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*rel=["']?(?:stylesheet|preconnect|icon)["']?[^>]*href=["']?(?:https?:)?//"""
)

pytestmark = pytest.mark.skipif(not MKDOCS.exists(), reason="no .venv-docs: make setup-docs")


def build(root: Path, site: Path, address: str = "") -> subprocess.CompletedProcess[str]:
    told = {**os.environ, "NEXUS_REPOSITORY_URL": address, "NO_MKDOCS_2_WARNING": "1"}
    command = [MKDOCS, "build", "--config-file", root / "mkdocs.yml", "--site-dir", site]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder, ADDRESS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Our configuration over two pages of its own."""
    text = (ROOT / "mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(text[: text.index("\nnav:")] + "\nnav: [README.md, how-to/page.md]\n")
    shutil.copytree(ROOT / "ops/site", tmp_path / "ops/site")
    for path in ("docs/README.md", "docs/how-to/page.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("# A page\n")
    return tmp_path


def test_each_page_stands_in_it(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in tracked_files() if path.is_relative_to(ROOT / "docs")]
    named = {path.with_suffix(".html") for path in pages if path.suffix == ".md" and path.name != "README.md"}
    assert [str(path) for path in sorted(named) if not (site / path).exists()] == []


def test_no_page_asks_a_third_party(site: Path) -> None:
    asked = {str(page.relative_to(site)): ASKED.findall(page.read_text()) for page in site.rglob("*.html")}
    assert len(asked) > 50
    assert {page: found for page, found in asked.items() if found} == {}


def test_a_link_to_a_file_of_the_repository_leads_to_its_address(site: Path) -> None:
    assert f'href="{ADDRESS}/blob/main/.gitlab-ci.yml"' in (site / "how-to/promote-and-roll-back.html").read_text()


def test_without_an_address_such_a_link_is_its_text(small: Path) -> None:
    (small / "docs/how-to/page.md").write_text("See [the file](../../gateway/x.py).\n\n```sh\n[kept](../../x)\n```\n")
    done = build(small, small / "site")
    assert done.returncode == 0, done.stderr
    text = (small / "site/how-to/page.html").read_text()
    assert "See the file." in text
    assert "[kept](../../x)" in re.sub(r"<[^>]+>", "", text)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("docs/README.md", "[gone](how-to/gone.md)\n", "how-to/gone.md"),
        ("docs/README.md", "[gone](how-to/page.md#no-such-heading)\n", "no-such-heading"),
        ("docs/how-to/unlisted.md", "# Unlisted\n", "how-to/unlisted.md"),
    ],
)
def test_a_broken_link_or_a_page_that_nobody_finds_stops_it(small: Path, path: str, text: str, said: str) -> None:
    (small / path).write_text(text)
    done = build(small, small / "site")
    assert done.returncode == 1
    assert said in done.stderr
