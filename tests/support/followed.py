"""How the commands of a page are typed where its reader stands, and what they then print."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from .page_blocks import BLOCKS, Block
from .reader_world import runnable


@dataclass(frozen=True)
class Followed:
    says: tuple[str, ...]
    """What is printed, among other things."""
    without: str = "never"
    """Expression of the lines that need more than this reader has, though not by their program."""
    here: Mapping[str, str] = field(default_factory=dict)
    """What the page writes, and what it is here."""

    def typed(self, block: Block, has: Collection[str] = ()) -> list[str]:
        """Its lines that are typed. `has`: what `reader_world.needs` names, and this reader has."""
        if block.left_out:
            return []
        return [line for line in runnable(block.text, has) if not re.search(self.without, line)]


def lines_of(page: str, told: Followed, has: Collection[str] = (), blocks: Iterable[Block] = BLOCKS) -> list[str]:
    """All that is typed of a page."""
    return [
        line for block in blocks if block.page == page and block.language == "sh" for line in told.typed(block, has)
    ]


DEMO_HAS = ("a registry",)
AT_THE_DEMO: Mapping[str, Followed] = {
    "README.md": Followed(
        ("HTTP/1.1 200 OK", "x-nexus-release: ", "2 releases of main", "alias     pydoc-chat@local"),
        without="activate",
    ),
    "docs/how-to/release-a-model.md": Followed(("gateway  ", "engine  "), without="nexus release"),
    "docs/how-to/prove-a-release.md": Followed(("1 releases of main", "dataset", "registry  models:/pydoc-chat/2")),
    "docs/how-to/check-everything.md": Followed(
        ("ok        gateway", "ok        MLflow", "ok        lock"), without=r"--env prod|^set|^export|--only running"
    ),
}
"""Page -> how it is followed beside a demo that is up: by tests/e2e/test_demo.py."""
