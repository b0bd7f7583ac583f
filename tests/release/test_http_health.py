"""What counts as an answer of a gateway that is asked what it serves: nothing is not agreement."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nexus_release.adapters.http_health import HttpHealth
from nexus_release.errors import Unreachable


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a server that says of itself what the test gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(request.param).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """The test says what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "address",
    [{"workers": []}, {"workers": None}, {}, [], "ok", {"workers": [{"pid": 1, "revision": "a"}], "silent_workers": 1}],
    indirect=True,
)
def test_a_gateway_that_does_not_say_what_it_serves_agrees_with_nothing(address: str) -> None:
    with pytest.raises(Unreachable, match=r"what (it|they) serve"):
        HttpHealth(address, "key").revisions()


@pytest.mark.parametrize(
    "address", [{"workers": [{"pid": 1, "revision": "a"}, {"pid": 2, "revision": "b"}]}], indirect=True
)
def test_every_worker_counts(address: str) -> None:
    assert HttpHealth(address, "key").revisions() == {"a", "b"}


class OnePath(BaseHTTPRequestHandler):
    """Serves the model `chat` below the path that an inference gateway gives a release, and nowhere else."""

    def do_GET(self) -> None:
        found = self.path in ("/nexus/chat-0123abcd/health", "/nexus/chat-0123abcd/v1/models")
        body = b'{"data": [{"id": "chat"}]}' if found else b"{}"
        self.send_response(200 if found else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The test says what matters."""


def test_an_engine_is_asked_below_the_path_of_its_route() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), OnePath) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        health = HttpHealth("http://127.0.0.1:1", "key")
        assert health.answers(f"{host}/nexus/chat-0123abcd", "chat")
        assert not health.answers(host, "chat")
        server.shutdown()
