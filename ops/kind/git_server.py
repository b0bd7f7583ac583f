"""A Git remote over HTTP for `make kind`: one bare repository behind `git http-backend`.

It asks nobody for a password and speaks no TLS. It is for a cluster on one machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class GitServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, repository: Path, address: str, port: int) -> None:
        if not repository.exists():
            subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], check=True)
        subprocess.run(["git", "-C", repository, "config", "http.receivepack", "true"], check=True)
        super().__init__((address, port), Handler)
        self.repository = repository


class Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        told = {
            **os.environ,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.server.repository.parent),
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": "anybody",
            "REQUEST_METHOD": self.command,
        }
        said = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=told, check=True).stdout
        head, _, answer = said.partition(b"\r\n\r\n")
        headers = dict(line.decode().split(": ", 1) for line in head.splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)


def main() -> None:
    repository, port = sys.argv[1:]
    GitServer(Path(repository), "0.0.0.0", int(port)).serve_forever()  # noqa: S104 - in a pod, behind a Service


if __name__ == "__main__":
    main()
