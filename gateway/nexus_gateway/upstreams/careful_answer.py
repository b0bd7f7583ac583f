"""An answer whose head or frames are not plain, read by httptools: interim answers, trailers, odd lengths, no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from nexus_gateway.exchange import Headers
from nexus_gateway.upstreams.plain_answer import FRAMING
from nexus_gateway.upstreams.protocol import ResponseHead, UpstreamFault

if TYPE_CHECKING:
    from nexus_gateway.upstreams.answer_reader import Hearer

LARGEST_HEAD = 32 << 10  # bytes; engines send a few hundred
_BEGUN = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class CarefulAnswer:
    """From the first byte of an answer on, or, of one in frames, from the beginning of any of them."""

    def __init__(self, hearer: Hearer, *, begun: bool = False, keeps: bool = True) -> None:
        """`begun`: its head was plain and is told already; `keeps` is then what it said of the connection."""
        self._hearer, self._keeps, self._whole = hearer, keeps, False
        self._headers: Headers = []
        self._head_bytes = 0
        self._barren = 0
        """Bytes since the last that gave a head or some of a body."""
        self._parser = httptools.HttpResponseParser(self)
        self._begun = begun
        if begun:
            self._parser.feed_data(_BEGUN)
            self._head_bytes = 0

    def feed(self, data: bytes) -> None:
        """Raises UpstreamFault."""
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            told = error.__context__  # what a callback has raised
            raise told if isinstance(told, UpstreamFault) else UpstreamFault("it does not speak HTTP") from None
        if self._barren > LARGEST_HEAD:  # a line without an end, which the parser would keep without end
            raise UpstreamFault(f"a line of its answer is larger than {LARGEST_HEAD} bytes")

    # --- the parser ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._whole:
            raise UpstreamFault("it sent more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > LARGEST_HEAD:
            raise UpstreamFault(f"its head is larger than {LARGEST_HEAD} bytes")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._begun:
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the real one follows
            self._headers = []
            return
        self._barren = 0
        headers = [header for header in self._headers if header[0] not in FRAMING]
        self._hearer.began(ResponseHead(status, headers))

    def on_body(self, data: bytes) -> None:
        self._barren = 0
        self._hearer.came(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            return
        self._whole, self._barren = True, 0
        self._hearer.ended(keep=self._keeps and self._parser.should_keep_alive())
