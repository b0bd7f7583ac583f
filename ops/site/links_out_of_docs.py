"""A hook of MkDocs: what a page links to outside docs/ is a file of the repository.

Where the site knows the repository's address (NEXUS_REPOSITORY_URL) the link leads there; else its text stands alone,
since the site has no such file.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

LINK = re.compile(r"\[(?P<text>[^\[\]]+)\]\((?P<path>(?:\.\./)+[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
FENCE = re.compile(r"(?ms)^(```|~~~).*?^\1[ \t]*$")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Called by MkDocs for each page, with its text before it becomes HTML."""
    folder = posixpath.dirname(page.file.src_uri)

    def moved(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, found["path"]))
        if target.startswith("docs/"):
            return found[0]
        if not config.repo_url:
            return found["text"]
        return f"[{found['text']}]({config.repo_url.rstrip('/')}/blob/main/{target}{found['anchor'] or ''})"

    kept, changed = 0, []
    for fence in FENCE.finditer(markdown):
        changed += [LINK.sub(moved, markdown[kept : fence.start()]), fence[0]]
        kept = fence.end()
    return "".join([*changed, LINK.sub(moved, markdown[kept:])])
