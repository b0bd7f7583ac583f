"""A page over HTTP that never ends."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST = 1 << 28
"""Bytes of a page that is not read to its end."""


@contextmanager
def endless(piece: bytes, pause: float) -> Iterator[tuple[str, list[int]]]:
    """The address of a page without an end, and how many bytes each that asked has taken of it."""
    taken: list[int] = []
    ended = threading.Event()

    class Endless(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
            taken.append(0)
            with suppress(ConnectionError):
                while taken[-1] < MOST and not ended.wait(pause):  # the pace of a slow server
                    self.wfile.write(piece)
                    taken[-1] += len(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", taken
        ended.set()
        server.shutdown()
