"""An engine that answers at once and keeps prompts, of whose load the test says what it likes."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT_TOKENS = 640
"""Of whatever it is asked."""


class CachingEngine:
    """Keeps prompts as vLLM does, under `cache_salt`; one that is asked twice has its tokens from the cache. In the
    Messages API it knows no salt."""

    def __init__(self, shared: int = 0) -> None:
        """`shared`: tokens that it has in its cache of a prompt which it has not seen."""
        self.shared, self.waiting = shared, 0
        self.look_seconds = 0.0
        """That it takes to say its load."""
        self.looks = 0
        """At its load."""
        self.asked_by_others = 0
        """From one look to the next."""
        self._may_say = threading.Event()
        self._may_say.set()
        self.kept: set[tuple[str | None, str]] = set()
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                time.sleep(engine.look_seconds)
                engine.looks += 1
                answered = engine.asked + engine.looks * engine.asked_by_others
                said = (
                    f"vllm:num_requests_waiting {engine.waiting}\nvllm:num_requests_running 0\n"
                    f'vllm:request_success_total{{finished_reason="stop"}} {answered}\n'
                )
                self._say(said.encode(), "text/plain")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer = json.dumps(engine.answer(self.path, body)).encode()
                engine._may_say.wait()
                self._say(answer, "application/json")

            def _say(self, said: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: Any) -> None:
                """The test says what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> CachingEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hold(self) -> None:
        """Says nothing more to prompts, until"""
        self._may_say.clear()

    def let_go(self) -> None:
        self._may_say.set()

    @property
    def asked(self) -> int:
        return len(self.bodies)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.paths.append(path)
        self.bodies.append(body)
        salt = None if path == "/v1/messages" else body.get("cache_salt")
        asked = (salt, json.dumps(body.get("messages") or body.get("prompt") or body.get("input")))
        cached = PROMPT_TOKENS if asked in self.kept else self.shared
        self.kept.add(asked)
        if path == "/v1/responses":
            usage = {"input_tokens": PROMPT_TOKENS, "output_tokens": 1, "total_tokens": PROMPT_TOKENS + 1}
            return {"id": "resp_1", "object": "response", "status": "completed", "output": [],
                    "usage": usage | {"input_tokens_details": {"cached_tokens": cached}}}  # fmt: skip
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 1, "total_tokens": PROMPT_TOKENS + 1}
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "text": "May",
            "message": {"role": "assistant", "content": "May"},
        }
        return {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
                "usage": usage | {"prompt_tokens_details": {"cached_tokens": cached}}}  # fmt: skip
