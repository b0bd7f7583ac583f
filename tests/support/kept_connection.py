"""A client that keeps its connection, and writes a request in the pieces that it is given: clients differ in that, and
what comes at once may pass in C."""

from __future__ import annotations

import socket
from http.client import HTTPMessage, HTTPResponse
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    text: str


class KeptConnection:
    """Made when it is first asked by, and anew once either side has closed it."""

    def __init__(self, url: str, *, seconds: float = 60.0) -> None:
        """`seconds`: of patience with each read."""
        address = urlsplit(url)
        self._place, self._seconds = (address.hostname or "", address.port or 0), seconds
        self._socket: socket.socket | None = None

    def ask(self, *pieces: bytes) -> Answer:
        """Raises OSError or http.client.HTTPException where no whole answer comes."""
        try:
            return self._ask(*pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, *pieces: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(self._place, timeout=self._seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self._socket.sendall(piece)
        with HTTPResponse(self._socket, method="POST") as answer:
            answer.begin()
            said = Answer(answer.status, answer.headers, answer.read().decode())
        if answer.will_close:
            self.close()
        return said
