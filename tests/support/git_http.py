"""A Git server over HTTP, `git http-backend` behind a few lines of Python, that can be told to misbehave."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

Misbehaviour = Literal["", "hang", "accept and drop", "drop", "lie", "forbid"]
"""What happens to a push to main: no answer; taken, and the connection closed; closed at once; said to be taken, and
not; 403. A push to a branch is served."""


class GitServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, repository: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository = repository
        self.to_main: Misbehaviour = ""
        self.pusher = ""
        """`name:password` that a push needs; empty where anybody may."""
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{self.repository.name}"


@contextmanager
def serving(repository: Path) -> Iterator[GitServer]:
    subprocess.run(["git", "config", "http.receivepack", "true"], cwd=repository, check=True)
    with GitServer(repository) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self._is_stranger():
            self._ask_who()
            return
        self._answer(self._backend(b"", self.server.repository.parent))

    def do_POST(self) -> None:
        body = self._body()
        if self._is_stranger():
            self._ask_who()
            return
        what = self.server.to_main if b" refs/heads/main\0" in body else ""
        root = self.server.repository.parent
        if what == "hang":
            self.server.ended.wait()
            self._close()
        elif what == "drop":
            self._close()
        elif what == "accept and drop":
            self._backend(body, root)
            self._close()
        elif what == "forbid":
            self._answer(b"Status: 403 Forbidden\r\n\r\nno\n")
        elif what == "lie":
            with tempfile.TemporaryDirectory() as aside:
                shutil.copytree(self.server.repository, Path(aside) / self.server.repository.name)
                said = self._backend(body, Path(aside))
            self._answer(said)  # once that is gone: whoever has the answer may look for what is left behind
        else:
            self._answer(self._backend(body, root))

    def _is_stranger(self) -> bool:
        wanted = base64.b64encode(self.server.pusher.encode()).decode()
        given = self.headers.get("Authorization", "")
        return bool(self.server.pusher) and "git-receive-pack" in self.path and given != f"Basic {wanted}"

    def _ask_who(self) -> None:
        self._answer(b'Status: 401 Unauthorized\r\nWWW-Authenticate: Basic realm="git"\r\n\r\nwho are you?\n')

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _backend(self, body: bytes, root: Path) -> bytes:
        """A CGI call (RFC 3875); what comes back is head and body."""
        path, _, query = self.path.partition("?")
        call = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": self.server.pusher.partition(":")[0] or "test",
        }
        return subprocess.run(["git", "http-backend"], input=body, env=call, capture_output=True, check=True).stdout

    def _answer(self, cgi: bytes) -> None:
        head, _, body = cgi.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _close(self) -> None:
        """Without a word."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what matters is what git makes of the answers."""
