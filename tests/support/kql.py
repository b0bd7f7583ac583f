"""KQL, as Kibana documents it: what a query asks, which fields it names, and whether a document answers it.

A parser of our own, since neither PyPI nor npm has Kibana's: `and`, `or`, `not`, parentheses, `field: value`, several
values, wildcards, quoted phrases, ranges. Nested fields (`field: { … }`) and free text without a field are refused: no
query of ours should need them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Holds = Callable[[dict[str, Any]], bool]
Test = Callable[[Any], bool]
_TOKEN = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark><=|>=|[<>:()])|(?P<word>[^\s\\():<>"{}]+))')


class Unreadable(Exception):
    """Where, and what is wrong."""


@dataclass(frozen=True)
class Query:
    fields: frozenset[str]
    holds: Holds


def parse(text: str) -> Query:
    reader = _Reader(text)
    holds = reader.either()
    if reader.left:
        raise Unreadable(f"{text}: unexpected {reader.left[0]!r}")
    return Query(frozenset(reader.fields), holds)


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text.rstrip()):
        if (token := _TOKEN.match(text, at)) is None:
            raise Unreadable(f"{text}: cannot be read from {text[at:]!r} on")
        found.append(token[0].strip())
        at = token.end()
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.left = text, _tokens(text)
        self.fields: set[str] = set()

    def either(self) -> Holds:
        parts = [self.both()]
        while self._took("or"):
            parts.append(self.both())
        return lambda document: any(part(document) for part in parts)

    def both(self) -> Holds:
        parts = [self.negated()]
        while self._took("and"):
            parts.append(self.negated())
        return lambda document: all(part(document) for part in parts)

    def negated(self) -> Holds:
        if self._took("not"):
            inner = self.negated()
            return lambda document: not inner(document)
        if self._took("("):
            inner = self.either()
            self._must(")")
            return inner
        return self._expression()

    def _expression(self) -> Holds:
        field = self._literal()
        self.fields.add(field)
        mark = self._next()
        if mark in ("<", "<=", ">", ">="):
            bound = float(self._literal())
            return _of(field, lambda value: _compares(mark, value, bound))
        if mark != ":":
            raise Unreadable(f"{self.text}: after {field} comes {mark!r}, and not : or a comparison")
        return _of(field, self._values() if self._took("(") else self._value())

    def _values(self) -> Test:
        """The values of a list, up to its parenthesis."""
        tests = [self._value()]
        while self._took("or"):
            tests.append(self._value())
        self._must(")")
        return lambda value: any(test(value) for test in tests)

    def _value(self) -> Test:
        token = self._next()
        if token.startswith('"'):
            wanted = re.sub(r"\\(.)", r"\1", token[1:-1])
            return lambda value: _text(value) == wanted
        self._is_literal(token)
        pattern = re.compile(".*".join(map(re.escape, token.split("*"))))
        return lambda value: pattern.fullmatch(_text(value)) is not None

    def _literal(self) -> str:
        token = self._next()
        self._is_literal(token)
        return token

    def _is_literal(self, token: str) -> None:
        if token in ("(", ")", ":", "<", "<=", ">", ">=") or token.lower() in ("and", "or", "not"):
            raise Unreadable(f"{self.text}: {token!r} stands where a name or a value should")

    def _next(self) -> str:
        if not self.left:
            raise Unreadable(f"{self.text}: ends too early")
        return self.left.pop(0)

    def _took(self, token: str) -> bool:
        if self.left and self.left[0].lower() == token:
            self.left.pop(0)
            return True
        return False

    def _must(self, token: str) -> None:
        if not self._took(token):
            raise Unreadable(f"{self.text}: {token!r} is missing")


def _of(field: str, test: Test) -> Holds:
    return lambda document: any(test(value) for value in _values_of(document, field))


def _values_of(document: dict[str, Any], field: str) -> list[Any]:
    """A path is looked up whole too: flattened fields have dots in their names."""
    if field in document:
        value = document[field]
        return [one for one in (value if isinstance(value, list) else [value]) if one is not None]
    head, _, rest = field.partition(".")
    inner = document.get(head)
    return _values_of(inner, rest) if rest and isinstance(inner, dict) else []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compares(mark: str, value: Any, bound: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[mark]
