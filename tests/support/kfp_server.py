"""A double behind a port that keeps pipelines as a KFP server does: the part of its v2beta1 API that an upload uses.

Paths, statuses and bodies are those of the project's own server (`pipeline_upload_server.go`, `pipeline_server.go`).
`race` lets somebody else make the next thing a moment before us; `refuse` answers everything with 403.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "kfp-token"
_ROOT = "/apis/v2beta1/pipelines"


class _Refusal(Exception):
    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


class KfpServer:
    def __init__(self) -> None:
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        """With the uploaded text under `text`, which no answer has."""
        self.asked: list[str] = []
        self.race = self.refuse = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        parts, query = urlsplit(target), parse_qs(urlsplit(target).query)
        self.asked.append(f"{method} {parts.path}")
        if self.refuse or headers.get("authorization") != f"Bearer {TOKEN}":
            raise _Refusal(403, {"code": 7, "message": "User is not authorized"})
        if (method, parts.path) == ("GET", _ROOT):
            return _listed("pipelines", _matching([*self.pipelines.values()], query))
        if (method, parts.path) == ("POST", _ROOT):
            return self._pipeline(json.loads(body))
        if (method, parts.path) == ("POST", f"{_ROOT}/upload_version"):
            return self._version(query["pipelineid"][0], query["name"][0], _uploaded(body, headers["content-type"]))
        id, _, rest = parts.path.removeprefix(f"{_ROOT}/").partition("/")
        if (method, rest) == ("GET", "versions"):
            return _listed("pipeline_versions", _matching(self._of(id), query))
        raise _Refusal(404, {"code": 5, "message": "Not Found"})

    def _pipeline(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        taken = [one for one in self.pipelines.values() if one["name"] == asked["name"]]
        if not taken or self.race:
            id = str(uuid.uuid4())
            self.pipelines[id] = {"pipeline_id": id, "name": asked["name"], "display_name": asked["display_name"]}
            if not self.race:
                return self.pipelines[id]
        self.race = False
        raise _Refusal(409, {"code": 6, "message": f"The name {asked['name']} already exist"})

    def _version(self, pipeline: str, name: str, text: str) -> Mapping[str, Any]:
        if pipeline not in self.pipelines:
            raise _Refusal(400, {"error_message": "Failed to create a pipeline version"})
        if [one for one in self._of(pipeline) if one["name"] == name]:
            raise _Refusal(409, {"error_message": "Failed to create a pipeline version"})
        id = str(uuid.uuid4())
        told = {"pipeline_id": pipeline, "pipeline_version_id": id, "name": name, "display_name": name}
        self.versions[id] = {**told, "text": text}
        if self.race:
            self.race = False
            raise _Refusal(409, {"error_message": "Failed to create a pipeline version"})
        return told

    def _of(self, pipeline: str) -> list[dict[str, Any]]:
        kept = [one for one in self.versions.values() if one["pipeline_id"] == pipeline]
        return [{key: value for key, value in one.items() if key != "text"} for one in kept]


def _matching(things: list[dict[str, Any]], query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    (predicate,) = json.loads(query["filter"][0])["predicates"]
    assert predicate["operation"] == "EQUALS"
    return [one for one in things if one[predicate["key"]] == predicate["string_value"]]


def _listed(name: str, found: list[dict[str, Any]]) -> Mapping[str, Any]:
    """An empty list is left out, as protobuf's JSON does."""
    return {name: found, "total_size": len(found)} if found else {}


def _uploaded(body: bytes, content_type: str) -> str:
    form = BytesParser(policy=HTTP).parsebytes(f"content-type: {content_type}\r\n\r\n".encode() + body)
    (part,) = form.iter_parts()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    assert str(part.get_filename()).endswith(".yaml")
    return bytes(part.get_payload(decode=True) or b"").decode()


def _handler(server: KfpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, said = 200, server.answer(self.command, self.path, body, headers)
            except _Refusal as refusal:
                status, said = refusal.status, refusal.body
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _serve  # noqa: N815 - http.server looks for these names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: `asked` has it."""

    return Handler
