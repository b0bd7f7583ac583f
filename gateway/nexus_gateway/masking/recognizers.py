"""What the library presidio knows by its form: national numbers, passports, licences of some twenty countries.

Only its patterns are used, with their checksums, and no language model. Some of them take quadratic time on hostile
text, so each is shown `WINDOW` characters at a time; that bounds a text's time by its length, and keeps the
interpreter from everybody else for no more than some milliseconds.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import threading
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from nexus_gateway.masking.patterns import Found

if TYPE_CHECKING:
    from presidio_analyzer import PatternRecognizer

MISSING = "presidio-analyzer is not installed here: pip install 'nexus-platform[presidio]'"
WINDOW, OVERLAP = 1024, 128
"""Characters; no value is longer than the second."""
_NOT_PERSONAL = frozenset({"URL"})
_loaded: dict[str, list[PatternRecognizer]] = {}
_loading = threading.Lock()


def load(entities: Collection[str]) -> None:
    """Before any text is looked at: the library takes seconds and 150 MiB. Raises ValueError that names the mend."""
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise ValueError(MISSING)
    with _loading:
        if not _loaded:
            _loaded.update(_by_entity())
    if unknown := sorted(set(entities) - _loaded.keys()):
        raise ValueError(f"{unknown[0]} is no entity that is known by its form; there are {', '.join(sorted(_loaded))}")


def find(text: str, entities: Collection[str]) -> list[Found]:
    """In the order of the text; none overlap: of two the one that begins first, or else is longer. Every match counts,
    however weak, since no context is weighed. The entities are loaded."""
    spans = sorted({one for entity in entities for one in _spans(text, entity)}, key=lambda one: (one.start, -one.end))
    found = list[Found]()
    for one in spans:
        if not found or one.start >= found[-1].end:
            found.append(one)
    return found


def _spans(text: str, entity: str) -> Iterator[Found]:
    for begin in range(0, max(1, len(text) - OVERLAP), WINDOW - OVERLAP):
        window = text[begin : begin + WINDOW]
        for recognizer in _loaded[entity]:
            results: list[Any] = recognizer.analyze(window, [entity], None)
            yield from (_without_blanks(text, Found(entity, begin + one.start, begin + one.end)) for one in results)


def _without_blanks(text: str, found: Found) -> Found:
    """Some patterns take the blank before a value for a part of it."""
    value = text[found.start : found.end]
    start = found.start + len(value) - len(value.lstrip())
    return found._replace(start=start, end=start + len(value.strip()))


def _by_entity() -> dict[str, list[PatternRecognizer]]:
    logging.getLogger("presidio-analyzer").disabled = True  # it writes what it has found
    from presidio_analyzer import PatternRecognizer, predefined_recognizers

    found: dict[str, list[PatternRecognizer]] = {}
    for kind in vars(predefined_recognizers).values():
        if inspect.isclass(kind) and issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer:
            recognizer: Any = kind()
            for entity in set(recognizer.supported_entities) - _NOT_PERSONAL:
                found.setdefault(entity, []).append(recognizer)
    return found
