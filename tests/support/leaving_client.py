"""A client that reads its answer piece by piece, is slow on request, and can leave in the middle."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from .gateway import Gateway


class Client:
    def __init__(self, gateway: Gateway, name: str, model: str, *, reads_little: bool = False, **body: Any) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        self._connection.sock = socket.socket()
        if reads_little:
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._connection.sock.settimeout(30)
        self._connection.sock.connect(("127.0.0.1", gateway.port))
        document = {"model": model, "messages": [], **body}
        headers = {"authorization": "Bearer dev-key", "content-type": "application/json", "idempotency-key": name}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(document), headers)
        self._answer: http.client.HTTPResponse | None = None

    def answer(self) -> http.client.HTTPResponse:
        """Its body may not be there yet."""
        if self._answer is None:
            self._answer = self._connection.getresponse()
        return self._answer

    def leave(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._connection.close()

    def word(self) -> bytes:
        """The first event."""
        return self.answer().readline()


class Clients:
    """All have left at the end of the block."""

    def __init__(self) -> None:
        self._made: list[Client] = []

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._made:
            client.leave()

    def ask(self, gateway: Gateway, name: str, model: str, *, reads_little: bool = False, **body: Any) -> Client:
        """`name`: its idempotency key."""
        self._made.append(Client(gateway, name, model, reads_little=reads_little, **body))
        return self._made[-1]
