"""What the documents say stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..support.repository import ROOT, tracked_files

PAGES = [path for path in tracked_files() if path.suffix == ".md"]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_target_of_make_in_a_block_is_one_that_there_is(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            words = line.split("#")[0].split()
            if words[:1] == ["make"] and words[1:2] not in ([], ["|"]):  # alone it prints the menu
                assert words[1] in targets, line


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_every_page_is_found_from_the_first_one() -> None:
    """Decisions have a list of their own, and reports are written by runs."""
    folder = ROOT / "docs"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    pages = {
        str(page.relative_to(folder))
        for part in (".", "how-to", "reference", "ko")
        for page in (folder / part).glob("*.md")
    }
    assert len(pages) > 80
    assert sorted(pages - listed - {"README.md"}) == []


def test_the_readme_is_two_screens_at_most() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_nothing_names_a_machine_or_a_registry_host() -> None:
    words = re.compile("/ro" + r"ot/|files\.python" + r"hosted|pypi\." + "org")
    for path in tracked_files():
        if path.suffix in {".py", ".md", ".txt", ".toml", ".yaml", ".json", ".sh"} or path.name in {"Makefile", "run"}:
            assert not words.search(path.read_text(encoding="utf-8")), name(path)


def test_clean_removes_every_environment_that_a_target_makes() -> None:
    makefile = (ROOT / "Makefile").read_text()
    made = set(re.findall(r"^setup[a-z-]*:.* ## make (\.venv\S*?)[: ]", makefile, re.MULTILINE))
    made |= {f"{folder}/node_modules" for folder in re.findall(r"call node_modules,(tests/\S+?),", makefile)}
    (removed,) = re.findall(r"^clean:.*\n\trm -rf (.*)$", makefile, re.MULTILINE)
    assert len(made) > 10
    assert made - set(removed.split()) == set()
