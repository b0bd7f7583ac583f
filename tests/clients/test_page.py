"""The page's programs are the ones that are run."""

from __future__ import annotations

import re

from ..support.client import SCRIPTS
from ..support.repository import ROOT

PAGE = ROOT / "docs" / "how-to" / "use-any-client.md"
BLOCK = re.compile(r"```(?:python|js)\n(.*?)```", re.DOTALL)


def test_the_page_shows_every_snippet_and_nothing_else() -> None:
    snippets = [path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*/snippets/*.*")]
    assert len(snippets) == 10
    assert sorted(BLOCK.findall(PAGE.read_text(encoding="utf-8"))) == sorted(snippets)


def test_each_script_starts_with_its_snippet() -> None:
    for snippet in SCRIPTS.glob("*/snippets/*.*"):
        script = (snippet.parents[1] / snippet.name).read_text(encoding="utf-8")
        assert f"snippets.{snippet.stem} import" in script or f"snippets/{snippet.name}" in script
