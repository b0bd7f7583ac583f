"""A server that speaks as much of Elasticsearch and of Kibana as ours ask of them, and writes down what was asked.

It keeps what it is given, wraps it as the real ones do, and takes documents by the index templates that it has. No
Elasticsearch and no Kibana could be run here, so what is shown by it is what is asked, and that asking twice changes
nothing.
"""

from __future__ import annotations

import base64
import fnmatch
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .index_mapping import faults

KEPT = {"/_ilm/policy/": "ilm", "/_index_template/": "template", "/_security/role/": "role"}


@dataclass
class Elastic:
    """Both at one address, for the bootstrap's sake: their paths differ."""

    url: str = ""
    passwords: dict[str, str] = field(default_factory=lambda: {"elastic": "of-elastic"})
    kept: dict[str, Any] = field(default_factory=dict)
    """By path, as it was put."""
    views: dict[str, Any] = field(default_factory=dict)
    saved: dict[tuple[str, str], Any] = field(default_factory=dict)
    documents: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(Index, id) -> document."""
    refused: list[str] = field(default_factory=list)
    """Why documents were refused."""
    written: list[str] = field(default_factory=list)
    """Method and path of each request that may change something, in order."""
    ill: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Path -> the answer in the place of the true one."""

    def answer(self, method: str, path: str, user: tuple[str, str] | None, body: bytes) -> tuple[int, Any]:
        bare = path.partition("?")[0]
        if bare in self.ill:
            return self.ill[bare]
        if user is None or self.passwords.get(user[0]) != user[1]:
            return 401, {"error": {"type": "security_exception", "reason": "unable to authenticate user"}}
        if method != "GET" and not bare.endswith("_export"):
            self.written.append(f"{method} {bare}")
        if bare == "/_bulk":
            return 200, self._bulk(body.decode().splitlines())
        for prefix in KEPT:
            if bare.startswith(prefix):
                return self._object(method, bare, bare.removeprefix(prefix), body)
        return self._elasticsearch(method, bare, body) or self._kibana(bare, body) or (404, {"message": "Not Found"})

    def _object(self, method: str, path: str, name: str, body: bytes) -> tuple[int, Any]:
        if method == "PUT":
            self.kept[path] = json.loads(body)
            return 200, {"acknowledged": True}
        if path not in self.kept:
            return 404, {"error": {"reason": f"{name} not found"}, "status": 404}
        one = self.kept[path]
        if path.startswith("/_index_template/"):
            return 200, {"index_templates": [{"name": name, "index_template": one}]}
        return 200, {name: {"version": 1, **one}}

    def _elasticsearch(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        if path == "/_cluster/health":
            return 200, {"status": "yellow", "timed_out": False}
        if path == "/_security/_authenticate":
            return 200, {"username": "as asked"}
        if method in ("PUT", "POST") and path.startswith("/_security/user/"):
            name = path.removeprefix("/_security/user/").removesuffix("/_password")
            self.passwords[name] = json.loads(body)["password"]
            return 200, {}
        return None

    def _kibana(self, path: str, body: bytes) -> tuple[int, Any] | None:
        if path == "/api/status":
            return 200, {"status": {"overall": {"level": "available"}}}
        if path == "/api/data_views/data_view":
            asked = json.loads(body)
            view = asked["data_view"]
            if view["id"] in self.views and not asked["override"]:
                return 400, {"message": f"Duplicate data view: {view['title']}"}
            self.views[view["id"]] = view
            return 200, {"data_view": view}
        if path.startswith("/api/data_views/data_view/"):
            found = self.views.get(path.rsplit("/", 1)[-1])
            return (200, {"data_view": found}) if found else (404, {"message": "Saved object not found"})
        if path == "/api/saved_objects/_export":
            wanted = [(one["type"], one["id"]) for one in json.loads(body)["objects"]]
            if missing := [one for one in wanted if one not in self.saved]:
                return 400, {"message": "Error fetching objects to export", "attributes": {"objects": missing}}
            return 200, [self.saved[one] for one in wanted]
        if path == "/api/saved_objects/_import":
            return 200, self._import(body)
        return None

    def _import(self, body: bytes) -> Any:
        objects = [json.loads(line) for line in body.decode().splitlines() if line.startswith("{")]
        known = {*self.saved, *(("index-pattern", name) for name in self.views)}
        known |= {(one["type"], one["id"]) for one in objects}
        errors = [
            {"type": one["type"], "id": one["id"], "error": {"type": "missing_references"}}
            for one in objects
            if any((to["type"], to["id"]) not in known for to in one["references"])
        ]
        if not errors:
            self.saved |= {(one["type"], one["id"]): {**one, "updated_at": "now"} for one in objects}
        return {"success": not errors, "successCount": len(objects) - len(errors), "errors": errors}

    def _bulk(self, lines: list[str]) -> Any:
        items = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            ((kind, about),) = json.loads(action).items()
            items.append({kind: self._indexed(about["_index"], about["_id"], json.loads(document))})
        return {"errors": any("error" in item["index"] for item in items), "items": items}

    def _indexed(self, index: str, name: str, document: dict[str, Any]) -> Any:
        mapped = [
            one["template"]["mappings"]["properties"]
            for path, one in self.kept.items()
            if path.startswith("/_index_template/") and fnmatch.fnmatch(index, one["index_patterns"][0])
        ]
        wrong = faults(mapped[0], document) if mapped else [f"{index}: no index template is for it"]
        if wrong:
            self.refused += wrong
            return {"_id": name, "status": 400, "error": {"type": "document_parsing_exception", "reason": wrong[0]}}
        before = (index, name) in self.documents
        self.documents[index, name] = document
        return {"_id": name, "status": 200 if before else 201, "result": "updated" if before else "created"}


@contextmanager
def elastic() -> Iterator[Elastic]:
    served = Elastic()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            scheme, _, told = (self.headers.get("authorization") or "").partition(" ")
            user = tuple(base64.b64decode(told).decode().split(":", 1)) if scheme == "Basic" else None
            status, answer = served.answer(self.command, self.path, user, body)  # type: ignore[arg-type] # a pair
            lines = answer if isinstance(answer, list) else [answer]
            text = answer.encode() if isinstance(answer, str) else "\n".join(map(json.dumps, lines)).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the names that the standard library calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        served.url = f"http://127.0.0.1:{server.server_port}"
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
