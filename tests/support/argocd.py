"""A double of Argo CD's API server: `GET /api/v1/applications`, with the fields of Application v1alpha1 that we read.

Statuses and bodies are those of Argo CD 3; which Applications there are, a test says.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "argocd-token"


def application(name: str, folder: str, commit: str, **status: Any) -> dict[str, Any]:
    """Synced to `commit` and healthy, unless `status` replaces a part."""
    return {
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {"source": {"repoURL": "https://git.example.com/nexus.git", "path": folder, "targetRevision": "main"}},
        "status": {
            "sync": {"status": "Synced", "revision": commit},
            "health": {"status": "Healthy"},
            "operationState": {"phase": "Succeeded", "syncResult": {"revision": commit}},
            "resources": [],
            **status,
        },
    }


def service(name: str, health: str = "Healthy") -> dict[str, Any]:
    """An InferenceService among an Application's resources."""
    return {"group": "serving.kserve.io", "kind": "InferenceService", "name": name, "health": {"status": health}}


class ArgoCdDouble:
    def __init__(self) -> None:
        self.applications: list[dict[str, Any]] | None = None
        """None is what Go makes of an empty list: null."""
        self.status = 200
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        if authorization != f"Bearer {TOKEN}":
            return 401, {"error": "no session information", "code": 16, "message": "no session information"}
        if path != "/api/v1/applications":
            return 404, {"error": "Not Found", "code": 5, "message": "Not Found"}
        return self.status, {"metadata": {"resourceVersion": "7"}, "items": self.applications}


@contextmanager
def argocd() -> Iterator[ArgoCdDouble]:
    double = ArgoCdDouble()
    try:
        yield double
    finally:
        double.stop()


def _handler(double: ArgoCdDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = double.answer(self.path, self.headers["authorization"])
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    return Handler
