"""Which heads of answers are read by hand: plain ones, that every reader reads in the same way. All others are
httptools', see careful_answer.py.

It is a list of what is taken, so that what nobody has thought of is not. What is taken is read as httptools would have
read it; a property test holds that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from nexus_gateway.upstreams.protocol import ResponseHead

END = b"\r\n\r\n"
LARGEST_PLAIN = 8 << 10
"""Bytes of a head, its end included; also what bounds the memory of those that are kept."""
FRAMING = (b"content-length", b"transfer-encoding")
"""Headers that are of the connection alone: nobody else is told."""
LONGEST_SIZE = 8
"""Hex digits of a frame's size; more are not taken."""

_MOST_HEADERS = 100
_MOST_DIGITS = 9  # of a body's length
_FIRST_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [\x20-\x7e]*(?=\r\n)")
_HEADER = re.compile(
    rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)(?=\r\n)"
)
"""One line, from the end of the line before; nothing folded, and no blanks before the colon or at the line's end."""
_UNUSUAL = frozenset((b"upgrade", b"trailer", b"keep-alive", b"proxy-connection"))
_BODILESS = (204, 205, 304)
_KEEPS = {b"": True, b"keep-alive": True, b"close": False}
_SIZE = re.compile(rb"[0-9a-fA-F]{1,%d}" % LONGEST_SIZE)


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    head: ResponseHead
    """One for all answers whose heads are the same bytes: nobody may change it."""
    length: int | None
    """Bytes of the body; None where it comes in frames (chunked)."""
    keeps: bool
    """False where the engine closes the connection after the answer."""
    straight: bool
    """Whether it is the head of an answer of status 200 that comes as it is: not in frames, and not compressed."""


@lru_cache(512)  # an engine's heads differ in the length of the body and once a second in the date
def plain_answer(data: bytes) -> PlainAnswer | None:
    """Of a head without its last line, which is empty: `data` ends with the last header's CRLF. None: it is not one."""
    first = _FIRST_LINE.match(data)
    if first is None:
        return None
    found = _HEADER.findall(data, first.end())
    if len(found) != data.count(b"\n") - 1 or len(found) > _MOST_HEADERS:
        return None
    headers = [(name.lower(), value) for name, value in found]
    values = dict(headers)
    status, keeps = int(first[1]), _KEEPS.get(values.get(b"connection", b"").lower())
    if keeps is None or status in _BODILESS or not _UNUSUAL.isdisjoint(values) or _twice(headers):
        return None
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    if (length is None) == (coding is None) or coding not in (None, b"chunked"):
        return None
    if length is not None and not (length.isdigit() and len(length) <= _MOST_DIGITS):
        return None
    told = [header for header in headers if header[0] not in FRAMING]
    straight = status == 200 and length is not None and values.get(b"content-encoding", b"") in (b"", b"identity")
    return PlainAnswer(ResponseHead(status, told), None if length is None else int(length), keeps, straight)


@lru_cache(4096)  # engines cut their streams into frames of a few sizes
def frame_size(line: bytes) -> int | None:
    """Of the line before a frame, without its end. None where there is more in it, or less, than a number: `int` alone
    takes signs, blanks and underscores."""
    return int(line, 16) if _SIZE.fullmatch(line) else None


def _twice(headers: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in headers]
    return any(names.count(name) > 1 for name in (*FRAMING, b"connection"))
