"""What is looked for in texts in flight: kinds of the table, and placeholders where values come back."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from nexus_gateway.masking import patterns
from nexus_gateway.masking.patterns import Found

PLACEHOLDER = re.compile(r"<[A-Z]{2,16}(?:_[A-Z]{1,16}){0,5}_[0-9]{1,7}>")
PLACED = "placeholder"
"""The kind of a placeholder that is found."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The Finder of patterns."""

    kinds: Collection[str]
    placeholders: bool = False

    def may_hold(self, text: str) -> bool:
        return patterns.may_hold(text) or (self.placeholders and "<" in text)

    def find(self, text: str) -> list[Found]:
        found = patterns.find(text, self.kinds)
        if self.placeholders and "<" in text:
            found += (Found(PLACED, *one.span()) for one in PLACEHOLDER.finditer(text))
            found.sort(key=lambda one: one.start)
        return found
