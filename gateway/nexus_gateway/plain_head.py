"""Which heads the wire edge takes: plain ones, that every reader reads in the same way. All others are uvicorn's.

It is a list of what is taken, so that what nobody has thought of is not. What is taken is read as httptools would have
read it; a property test holds that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_gateway.exchange import Headers, RequestHead
from nexus_gateway.surfaces import SURFACES, Surface

LARGEST_HEAD = 16 << 10
"""Bytes, its end included."""
END = b"\r\n\r\n"

_MOST_HEADERS = 100  # as many as `limited_protocol.py` lets pass
MOST_DIGITS = 9
"""Of a body's length."""
_FIRST_LINES = {b"POST %b HTTP/1.1" % surface.path.encode(): surface for surface in SURFACES.values()}
_HEADER = re.compile(
    rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)(?=\r\n)"
)
"""One line, from the end of the line before; nothing folded, and no blanks before the colon or at the line's end."""
_UNUSUAL = frozenset({
    *(b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"trailer", b"te"),
    *(b"proxy-connection", b"keep-alive"),
})  # fmt: skip
"""Say something of the connection or of the body's framing that the wire edge does not do."""
_ONCE = (b"host", b"content-length", b"connection")
_KEEPS = {b"": True, b"keep-alive": True, b"close": False}


@dataclass(slots=True)
class PlainHead:
    surface: Surface
    head: RequestHead
    """Without the client's address, which is the connection's."""
    length: int
    """Bytes of the body."""
    keeps: bool
    """False where the client wants the connection closed after the answer."""


def may_become_plain(data: bytes, asked: int = 0) -> bool:
    """Of the beginning of a head whose end has not come. False as soon as it is sure, so that whoever reads it instead
    can say at once what is wrong with it. True was the answer for its first `asked` bytes: their lines are not read
    again, else a client that sends each byte alone would have all of them read for each."""
    whole = data.rfind(b"\r\n") + 2
    if len(data) >= LARGEST_HEAD or b"\n" in data[whole:] or data[whole : whole + 1] in (b" ", b"\t"):
        return False
    if whole < 2:
        return any(first.startswith(data.removesuffix(b"\r")) for first in _FIRST_LINES)
    return whole <= asked or _headers(data[:whole]) is not None


def _headers(data: bytes) -> tuple[Surface, Headers] | None:
    """Of whole lines; None where one of them is not what is taken."""
    surface = _FIRST_LINES.get(data[: data.find(b"\r\n")])
    lines = data.count(b"\n") - 1
    if surface is None or lines > _MOST_HEADERS:
        return None
    found = _HEADER.findall(data)
    if len(found) != lines:
        return None
    return surface, [(name.lower(), value) for name, value in found]


def plain_head(data: bytes) -> PlainHead | None:
    """Of a head without its last line, which is empty: `data` ends with the last header's CRLF. None: it is not one."""
    read = _headers(data)
    if read is None:
        return None
    surface, headers = read
    head = RequestHead("POST", surface.path, headers, "")
    values = head.firsts
    length, keeps = values.get(b"content-length", b""), True
    if b"connection" in values:
        said = _KEEPS.get(values[b"connection"].lower())
        if said is None:
            return None
        keeps = said
    if not length.isdigit() or len(length) > MOST_DIGITS or b"host" not in values:
        return None
    if not _UNUSUAL.isdisjoint(values) or (len(values) < len(headers) and _twice(headers)):
        return None
    return PlainHead(surface, head, int(length), keeps)


def _twice(headers: Headers) -> bool:
    names = [name for name, _ in headers]
    return any(names.count(name) > 1 for name in _ONCE)
