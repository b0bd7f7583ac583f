"""The JSON files of a checkpoint: read strictly, and refused where they ask for code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_release.inspection.fault import Fault, quoted

_CODE = frozenset({
    *("auto_map", "custom_pipelines", "custom_code", "custom_generate", "_target_", "loader_module", "loader_class"),
    *("trust_remote_code", "requirements", "pip_requirements", "python_requirements", "entry_point", "code_paths"),
})  # fmt: skip
"""Keys by which libraries are told to import, install or run something."""
_TOKENS = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json"})
"""Their keys are words, of which any may be one of those above."""
_DEEPEST = 64


def read_settings(files: Mapping[str, Path]) -> Mapping[str, Any]:
    """Name -> document of each JSON file. Raises Fault."""
    found = {name: _read(name, path.read_bytes()) for name, path in files.items() if name.endswith(".json")}
    for name, document in found.items():
        if not isinstance(document, dict):
            raise Fault(name, "is no JSON object")
        if name not in _TOKENS:
            _refuse_code(name, document)
    return found


def _read(name: str, data: bytes) -> Any:
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise Fault(name, f"is nested deeper than {_DEEPEST}") from None
    except ValueError as error:
        raise Fault(name, f"is no JSON: {quoted(error)}") from None
    if _depth(document) > _DEEPEST:
        raise Fault(name, f"is nested deeper than {_DEEPEST}")
    return document


def _refuse_code(name: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _refuse_code(name, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _CODE and item is not False:  # `trust_remote_code: false` is what we want ourselves
                raise Fault(name, f"asks for code of its own ({key}), which is never run")
            _refuse_code(name, item)


def _depth(value: Any) -> int:
    """Level by level, since a document may be as deep as the parser lets it be."""
    level, depth = [value], 0
    while level:
        depth += 1
        items = (list(one.values()) if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [item for each in items for item in each]
    return depth


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key in found if sum(name == key for name, _ in pairs) > 1)
        raise ValueError(f"the key {quoted(twice)} stands twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
