"""Mock engines by HTTP, all in one process: the simulation's own, in real time.

    python -m tests.simulations.routing.real.engines PORT ... [--instant]

What vLLM says at /metrics is said. An answer is sent as its first token and its end, not word by word.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn

from nexus_worker.engines.mock.pace import Pace

from ..engines import Engine, Machine
from ..texts import Question
from ..workloads import ONE_GPU
from .prompts import Said

MODEL = "mock"
INSTANT = Machine(Pace(0, 0, 1e6, 1e9), ONE_GPU.kv_tokens, ONE_GPU.block, places=1024)
"""For who asks how a gateway's memory grows, and not when answers come."""
_METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{model_name="mock"}} {running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{model_name="mock"}} {waiting}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{model_name="mock"}} {kv_cache}
# TYPE vllm:request_success counter
vllm:request_success_total{{finished_reason="length",model_name="mock"}} {answered}
"""
_MODEL = {"id": MODEL, "object": "model", "owned_by": "vllm"}
_ABOUT = {"object": "list", "data": [_MODEL], "model_path": MODEL, "version": "0"}
"""Said to whatever else is asked: health, models, and what SGLang's engines say of themselves."""
_JSON = (b"content-type", b"application/json")
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class _Message(msgspec.Struct):
    content: str


class _Body(msgspec.Struct):
    messages: list[_Message]
    max_tokens: int = 0
    max_completion_tokens: int = 0
    """As sglang-router writes it anew."""

    @property
    def answer(self) -> int:
        return self.max_tokens or self.max_completion_tokens


@dataclass(frozen=True)
class Engines:
    by_port: Mapping[int, Engine]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        engine = self.by_port[scope["server"][1]]
        if scope["path"] == "/v1/chat/completions":
            body = b""
            while (part := await receive()).get("more_body"):
                body += part["body"]
            await _answer(engine, msgspec.json.decode(body + part["body"], type=_Body), send)
        elif scope["path"] == "/metrics":
            stats = engine.stats()
            text = _METRICS.format(
                running=stats.running, waiting=stats.waiting, kv_cache=stats.kv_cache, answered=engine.answered
            )
            await _whole(send, (b"content-type", b"text/plain; version=0.0.4"), text.encode())
        else:
            await _whole(send, _JSON, msgspec.json.encode(_ABOUT))


async def _whole(send: Send, content_type: tuple[bytes, bytes], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [content_type, length]})
    await send({"type": "http.response.body", "body": body})


async def _answer(engine: Engine, body: _Body, send: Send) -> None:
    said = Said([one.content for one in body.messages], body.answer)
    question = Question(0.0, 0.0, said, said.tokens, body.answer, "", "", "")
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    answering = asyncio.create_task(engine.answer(question, begun.set_result))
    cached = await begun
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _event({"content": "it "}, None), "more_body": True})
    await answering
    usage = {
        "prompt_tokens": said.tokens,
        "completion_tokens": body.answer,
        "total_tokens": said.tokens + body.answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    last = _event({"content": "is"}, "length") + _event(None, None, usage) + b"data: [DONE]\n\n"
    await send({"type": "http.response.body", "body": last})


def _event(delta: dict[str, str] | None, reason: str | None, usage: dict[str, Any] | None = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    head = {"id": "one", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choices}
    return b"data: " + msgspec.json.encode({**head, "usage": usage} if usage else head) + b"\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulations.routing.real.engines", description=__doc__)
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--instant", action="store_true")
    given = parser.parse_args()
    machine = INSTANT if given.instant else ONE_GPU
    app = Engines({port: Engine(f"http://127.0.0.1:{port}", machine) for port in given.ports})
    server = uvicorn.Server(
        uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_level="error", access_log=False)
    )
    server.run(sockets=[_listening(port) for port in given.ports])


def _listening(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


if __name__ == "__main__":
    main()
