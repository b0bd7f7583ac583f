"""A real dataset from text that every Python carries: the standard library's docstrings, and pydoc's topics.

The sources are parsed, never imported. What is wrong with the rows is really so: public classes that nobody has
documented, one method of one name in several modules, topics as long as a chapter.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nexus_release.journal import write_whole

_FIRST_EDITION = 7
"""Tenths of the modules that the first edition holds, chosen by the hash of their names; the second holds all."""

_SKIPPED = {"__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}


@dataclass(frozen=True)
class CorpusSummary:
    rows: int
    sources: int
    """Modules and topics that the rows come from."""


@dataclass(frozen=True)
class _Text:
    source: str
    question: str
    answer: str


def build(path: Path, edition: int) -> CorpusSummary:
    """Writes JSONL chat rows to `path`: the same bytes on the same Python."""
    texts = [*_docstrings(edition), *_topics()]
    rows = [_row(number, text) for number, text in enumerate(texts)]
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return CorpusSummary(rows=len(rows), sources=len({text.source for text in texts}))


def _row(number: int, text: _Text) -> dict[str, object]:
    return {
        "id": str(number),
        "source": text.source,
        "language": "en",
        "messages": [
            {"role": "user", "content": text.question},
            {"role": "assistant", "content": text.answer},
        ],
    }


def _topics() -> Iterator[_Text]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield _Text(f"topic:{name}", f"Explain {name} in Python.", topics[name].strip())


def _docstrings(edition: int) -> Iterator[_Text]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if module and not _SKIPPED & set(parts) and _in_edition(module, edition):
            yield from _of_module(module, path)


def _in_edition(module: str, edition: int) -> bool:
    return edition > 1 or hashlib.sha256(module.encode()).digest()[0] % 10 < _FIRST_EDITION


def _of_module(module: str, path: Path) -> Iterator[_Text]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):  # a few files are kept to test a compiler
        return
    if text := ast.get_docstring(tree):
        yield _Text(module, f"What is the module {module} for?", text)
    yield from _of_body(module, module, tree.body)


def _of_body(source: str, name: str, body: list[ast.stmt]) -> Iterator[_Text]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        full = f"{name}.{node.name}"
        text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
        if isinstance(node, ast.ClassDef):
            yield _Text(source, f"What is {full}?", text)
            yield from _of_body(source, node.name, node.body)  # people name a method by its class alone
        elif text:
            yield _Text(source, f"What does {full} do?", text)
