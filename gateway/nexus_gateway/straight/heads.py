"""Heads of requests that have been read before: clients say the same of themselves with each request, but for the
length of its body and, some of them, an id."""

from __future__ import annotations

from nexus_gateway.asked import is_json
from nexus_gateway.auth import sole_digest
from nexus_gateway.exchange import Headers, RequestHead
from nexus_gateway.idempotency.key import HEADER as IDEMPOTENCY_KEY
from nexus_gateway.plain_head import MOST_DIGITS, PlainHead
from nexus_gateway.trace import IDS

MOST = 1024
"""Heads that are kept; when there are more, all are forgotten."""
LARGEST = 2048
"""Bytes of one that is kept."""
_ZERO = ord("0")
_LENGTH = b"\r\ncontent-length: "
_LENGTHS = (_LENGTH, b"\r\nContent-Length: ")


class KnownHead:
    """What one says, whatever the length."""

    __slots__ = ("_headers", "_place", "cut", "digest", "has_ids", "keeps", "surface")

    def __init__(self, plain: PlainHead) -> None:
        head = plain.head
        self.surface, self.keeps = plain.surface, plain.keeps
        self._headers: Headers = head.headers
        self._place = [name for name, _ in head.headers].index(b"content-length")
        self.has_ids = not IDS.isdisjoint(head.firsts)
        straight = is_json(head) and IDEMPOTENCY_KEY not in head.firsts
        self.digest = sole_digest(head) if straight else None
        """Of the credential; None where there is more to think of than one, and the straight way is not taken."""

        self.cut: tuple[bytes, int] | None = None
        """Where it is kept: its bytes without the digits of a length, and where those stood."""

    def plain(self, length: int) -> PlainHead:
        """With a body of that length."""
        headers = [*self._headers]
        headers[self._place] = (b"content-length", b"%d" % length)
        return PlainHead(self.surface, RequestHead("POST", self.surface.path, headers, ""), length, self.keeps)


class KnownHeads:
    """Of one process."""

    def __init__(self) -> None:
        self._known: dict[bytes, KnownHead] = {}

    def find(self, data: bytes) -> tuple[KnownHead, int] | None:
        """(head, length of the body) of a head that is plain (see `plain_head`) and has been seen with another length.

        But for its length's digits it is byte by byte what was found plain, so nothing of it is read again.
        """
        cut = _cut(data)
        if cut is None:
            return None
        known = self._known.get(cut[0])
        return None if known is None else (known, cut[1])

    def keep(self, data: bytes, known: KnownHead) -> None:
        cut = _cut(data)
        if cut is None or known.has_ids or len(data) > LARGEST:  # an id comes once
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[cut[0]] = known
        known.cut = cut[0] + b"\r\n", cut[2]


def _cut(data: bytes) -> tuple[bytes, int, int] | None:
    """The head without the digits of its length, the length, and where its digits stood; None where it is not written
    as most clients do."""
    for line in _LENGTHS:
        start = data.find(line)
        if start >= 0:
            start += len(_LENGTH)
            end = data.find(b"\r\n", start)
            digits = data[start:end]
            if not digits.isdigit() or len(digits) > MOST_DIGITS or (digits[0] == _ZERO and len(digits) > 1):
                return None
            return data[:start] + data[end:], int(digits), start
    return None
