"""An engine that keeps its responses in its own memory, as vLLM does: GET and cancel, and nothing else; and one that
has the whole of OpenAI's paths. What it says is everything that it has been told in the conversation so far."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]


class Keeper:
    """Runs in threads; `url` is its address."""

    def __init__(self, *, whole: bool = False) -> None:
        """`whole`: it deletes and lists too."""
        self.whole, self.kept = whole, dict[str, Document]()
        self.asked: list[tuple[str, str]] = []
        """Method and target of each request."""
        self.heads: list[dict[str, str]] = []
        keeper = self

        class Handler(_Handler):
            engine = keeper

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def make(self, asked: Document) -> Document | None:
        """None where it has not what it is to go on from."""
        before = self.kept.get(previous) if (previous := asked.get("previous_response_id")) else None
        if previous and before is None:
            return None
        text = f"{text_of(before)} {asked['input']}" if before else asked["input"]
        part: Document = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        made = {
            "id": asked.get("request_id") or f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": 1,
            "status": "queued" if asked.get("background") else "completed",
            "model": asked["model"],
            "error": None,
            "previous_response_id": previous,
            "output": [message],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        }
        if asked.get("store") is not False:
            self.kept[made["id"]] = made
        return made


def text_of(response: Document) -> str:
    text: str = response["output"][0]["content"][0]["text"]
    return text


def events(response: Document) -> Iterator[Document]:
    """Of its stream, numbered from 0."""
    (item,) = response["output"]
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    told: list[Document] = [
        {"type": "response.created", "response": {**response, "usage": None, "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**item["content"][0], "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": text_of(response), "logprobs": []},
        {"type": "response.completed", "response": response},
    ]
    yield from ({**event, "sequence_number": number} for number, event in enumerate(told))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Keeper

    def do_POST(self) -> None:
        body, told = self.rfile.read(int(self.headers["content-length"])), self._told()
        if told[-1] == "cancel":
            self._cancel(told[-2])
            return
        asked = json.loads(body)
        made = self.engine.make(asked)
        if made is None:
            self._missing(asked["previous_response_id"])
        elif asked.get("stream"):
            self._stream(made, -1)
        else:
            self._json(made)

    def do_GET(self) -> None:
        told, query = self._told(), parse_qs(urlsplit(self.path).query)
        if told[-1] == "input_items" and not self.engine.whole:
            self._json({"detail": "Not Found"}, 404)
            return
        found = self.engine.kept.get(told[3])
        if found is None:
            self._missing(told[3])
        elif told[-1] == "input_items":
            self._json({"object": "list", "data": [], "first_id": "a", "last_id": "a", "has_more": False})
        elif query.get("stream") == ["true"]:
            self._stream(found, int(query.get("starting_after", ["-1"])[0]))
        else:
            self._json(found)

    def do_DELETE(self) -> None:
        told = self._told()
        if not self.engine.whole:
            self._json({"detail": "Method Not Allowed"}, 405)
        elif self.engine.kept.pop(told[3], None) is None:
            self._missing(told[3])
        else:
            self._json({"id": told[3], "object": "response", "deleted": True})

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _told(self) -> list[str]:
        self.engine.asked.append((self.command, self.path))
        self.engine.heads.append({name.lower(): value for name, value in self.headers.items()})
        return urlsplit(self.path).path.split("/")

    def _cancel(self, response: str) -> None:
        found = self.engine.kept.get(response)
        if found is None:
            self._missing(response)
        elif found["status"] != "queued":
            self._json({"error": {"message": "Cannot cancel a synchronous response.", "code": 400}}, 400)
        else:
            found["status"] = "cancelled"
            self._json(found)

    def _missing(self, response: str) -> None:
        self._json({"error": {"message": f"Response with id '{response}' not found.", "code": 404}}, 404)

    def _json(self, document: Document, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, response: Document, after: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events(response):
            if event["sequence_number"] > after:
                data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
