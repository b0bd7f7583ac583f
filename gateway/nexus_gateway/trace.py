"""Ids of a request: taken from the client where they are well-formed, made where not, passed on both ways."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from nexus_gateway.exchange import Headers, RequestHead

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_TRACE_ID = re.compile(rb"[0-9a-f]{32}")
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")  # W3C Trace Context, version 00
_SAMPLED = 0x01
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(slots=True)  # not frozen, which makes it five times as slow: one is made for each request
class Trace:
    request_id: str
    trace_id: str
    span_id: str
    """The request's own span."""
    flags: str
    parent_id: str = ""
    """The client's span; empty where it told none."""

    @property
    def sampled(self) -> bool:
        """Whether spans are exported, where any are: the client decides by its flag, and without one all are."""
        return self.flags == "01" or bool(int(self.flags, 16) & _SAMPLED)

    @property
    def headers(self) -> Headers:
        """For the client."""
        return [
            (b"x-request-id", self.request_id.encode()),
            (b"x-trace-id", self.trace_id.encode()),
            (b"traceparent", f"00-{self.trace_id}-{self.span_id}-{self.flags}".encode()),
        ]

    def lines_under(self, span_id: str) -> bytes:
        """For an engine, see `Call.lines`: what it does is done under that span, the one of its call. Where no spans
        are exported, or the request is not sampled, nobody has that span."""
        trace_id = self.trace_id
        said = f"x-request-id: {self.request_id}\r\nx-trace-id: {trace_id}\r\ntraceparent: 00-{trace_id}-{span_id}-"
        return f"{said}{self.flags}\r\n".encode()


IDS = frozenset((b"x-request-id", b"x-trace-id", b"traceparent"))
"""Headers by which a client gives some of its own."""


class _Ids:
    """Random hex digits, as many at once as cost no more than a few: a call of the system for each id is what three
    stages cost together. `pop` of a list is atomic, so that no two threads get the same."""

    def __init__(self) -> None:
        self._left: list[str] = []
        self._long: list[str] = []
        for left in (self._left, self._long):
            os.register_at_fork(after_in_child=left.clear)  # else the child would have its parent's

    def of_a_request(self) -> str:
        """96 of them."""
        while True:
            try:
                return self._long.pop()
            except IndexError:
                digits = os.urandom(48 * 64).hex()
                self._long += (digits[place : place + 96] for place in range(0, len(digits), 96))

    def sixteen(self) -> str:
        while True:
            try:
                return self._left.pop()
            except IndexError:
                digits = os.urandom(2048).hex()
                self._left += (digits[place : place + 16] for place in range(0, len(digits), 16))


_IDS = _Ids()


def trace(head: RequestHead) -> Trace:
    """`traceparent` counts before `x-trace-id`; the span is always our own."""
    asked = head.first(b"x-request-id")
    request_id = asked.decode() if asked and _REQUEST_ID.fullmatch(asked) else _new_id()
    parent = _TRACEPARENT.fullmatch(head.first(b"traceparent"))
    if parent is not None:
        trace_id, span_id, flags = parent[0].decode().split("-")[1:]
        if trace_id != _NO_TRACE and span_id != _NO_SPAN:
            return Trace(request_id, trace_id, new_span_id(), flags, span_id)
    simple = head.first(b"x-trace-id")
    trace_id = simple.decode() if _TRACE_ID.fullmatch(simple) else _new_id()
    return Trace(request_id, trace_id, new_span_id(), "01")


def new_ids() -> tuple[str, str, str, str]:
    """Request id, trace id, the request's span, and the span of its only call, for a client that gives none."""
    digits = _IDS.of_a_request()
    return digits[:32], digits[32:64], digits[64:80], digits[80:]


def new_span_id() -> str:
    return _IDS.sixteen()


def _new_id() -> str:
    return _IDS.sixteen() + _IDS.sixteen()
