"""The source text of a JSON document whose values have been replaced: still one that can be read."""

from __future__ import annotations

import re

from nexus_gateway.masking.rules import PLACEHOLDER

_TOKEN = re.compile(rf'\\.|"|{PLACEHOLDER.pattern}', re.DOTALL)


class SourceText:
    """Comes in pieces, of which none cuts an escape or a placeholder up. A placeholder that has taken a number's place
    gets quotes."""

    def __init__(self) -> None:
        self._within = False
        """A text of the document."""

    def feed(self, piece: str) -> str:
        return _TOKEN.sub(self._quoted, piece)

    def _quoted(self, token: re.Match[str]) -> str:
        if token[0] == '"':
            self._within = not self._within
        elif token[0][0] == "<" and not self._within:
            return f'"{token[0]}"'
        return token[0]
