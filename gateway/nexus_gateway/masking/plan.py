"""What is masked for one request, and what stands in its place."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from nexus_gateway.masking import recognizers
from nexus_gateway.masking.documents import SPELT_OUT, rewritten
from nexus_gateway.masking.patterns import KINDS
from nexus_gateway.masking.recognized import RecognizedText
from nexus_gateway.masking.rules import PLACED, PLACEHOLDER, Rules
from nexus_gateway.masking.text import HALF, MaskedText, masked, replaced
from nexus_gateway.routes_file import MaskingFile

Counts = dict[str, Counter[str]]
"""`requests` or `answers` -> kind -> different values that were masked."""


@dataclass(frozen=True, slots=True)
class Plan:
    requests: frozenset[str]
    """Kinds."""
    answers: frozenset[str]
    restore: bool
    recognized_requests: frozenset[str] = frozenset()
    """Entities of the library's, besides the kinds of requests."""
    recognized_answers: frozenset[str] = frozenset()

    @property
    def touches_answers(self) -> bool:
        return bool(self.answers) or self.restore


def plan_of(*wishes: MaskingFile | None) -> Plan | None:
    """The stricter wins: kinds add up, and values come back only where nobody who wants them masked is against it."""
    said = [wish for wish in wishes if wish is not None]
    if not said:
        return None
    requests = frozenset[str]().union(*(wish.kinds or KINDS for wish in said if wish.requests))
    answers = frozenset[str]().union(*(wish.kinds or KINDS for wish in said if wish.answers))
    entities_told = frozenset[str]().union(*(wish.recognizers for wish in said if wish.requests))
    entities_said = frozenset[str]().union(*(wish.recognizers for wish in said if wish.answers))
    return Plan(requests, answers, all(wish.restore for wish in said), entities_told, entities_said)


@dataclass(slots=True)
class Masking:
    """Of one request: the same value has the same placeholder in its body and in its answer."""

    plan: Plan
    counts: Counts = field(default_factory=dict)
    _placed: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    """(kind, value) -> placeholder."""
    _values: dict[str, str] = field(default_factory=dict, repr=False)
    """Placeholder -> the client's own value."""
    _counted: set[tuple[str, str]] = field(default_factory=set)
    _numbers: Counter[str] = field(default_factory=Counter)
    _taken: set[str] = field(default_factory=set)

    def takes(self, body: bytes) -> None:
        """Placeholders that stand in the client's own text mean something else, and are not given again."""
        text = json.dumps(json.loads(body), ensure_ascii=False) if b"\\u" in body else body.decode()
        self._taken |= set(PLACEHOLDER.findall(text))

    def of_body(self, body: bytes) -> bytes:
        """A request's body as an engine is told it; `body` is sound JSON in UTF-8."""
        if not self.plan.requests:
            return body
        self.takes(body)
        return rewritten(body.decode(), self._in_request).encode()

    def _in_request(self, text: str) -> str:
        hidden = masked(text, self.of_requests, self.hide)
        return self._recognized(hidden) if self.plan.recognized_requests else hidden

    def _recognized(self, text: str) -> str:
        """Nothing is looked for in what is a placeholder already."""
        pieces, done = list[str](), 0
        for placed in (*PLACEHOLDER.finditer(text), None):
            begin, end = placed.span() if placed else (len(text), len(text))
            between = text[done:begin]
            found = recognizers.find(between, self.plan.recognized_requests)
            pieces += [replaced(between, found, self.hide), text[begin:end]]
            done = end
        return "".join(pieces)

    def in_answer(self, text: str) -> str:
        if self.plan.recognized_answers:
            return self.text_of_answer().feed(text, last=True)
        return masked(text, self.of_answers, self.show)

    def text_of_answer(self) -> MaskedText | RecognizedText:
        """For one text of an answer that comes in pieces."""
        text = MaskedText(self.of_answers, self.show)
        if not self.plan.recognized_answers:
            return text
        return RecognizedText(self.plan.recognized_answers, self.plan.answers, self.show, text)

    @property
    def spelt_out(self) -> frozenset[str]:
        """Fields of answers that would say again, in pieces, what is masked."""
        return SPELT_OUT if self.plan.answers else frozenset()

    @property
    def of_requests(self) -> Rules:
        return Rules(self.plan.requests)

    @property
    def of_answers(self) -> Rules:
        return Rules(self.plan.answers, placeholders=self.plan.restore)

    def hide(self, kind: str, value: str) -> str:
        placeholder = self._placeholder("requests", kind, value)
        self._values[placeholder] = value
        return placeholder

    def show(self, kind: str, value: str) -> str:
        """A placeholder of ours becomes the value again. Of a long value a stream knows the beginning only."""
        if kind == PLACED:
            return self._values.get(value, value)
        return self._placeholder("answers", kind, value[:HALF])

    def _placeholder(self, direction: str, kind: str, value: str) -> str:
        found = self._placed.get((kind, value))
        if found is None:
            found = self._placed[kind, value] = self._next(kind)
        if (direction, found) not in self._counted:
            self._counted.add((direction, found))
            self.counts.setdefault(direction, Counter())[kind] += 1
        return found

    def _next(self, kind: str) -> str:
        while True:
            self._numbers[kind] += 1
            placeholder = f"<{kind.upper()}_{self._numbers[kind]}>"
            if placeholder not in self._taken:
                return placeholder
