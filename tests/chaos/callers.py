"""Who asks the gateway all through a scenario, and what each was told."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import get_args

from ..support.kept_connection import Answer, KeptConnection
from .scenario import BROKEN, Caller

CALLERS: Sequence[Caller] = get_args(Caller)
_PAUSE = 0.1
_MODELS = {"whole": "alone", "keyed": "spare"}
"""Of who does not ask for the model of their own name."""
_APART = (False, True)
"""Each caller is two: one writes a request at once, so that C may take it; one its head and then its body, as httpx
does."""


@dataclass(frozen=True)
class Told:
    """One answer. Times are those of `time.monotonic`."""

    caller: Caller
    asked: float
    ended: float
    answer: str
    """In the words of the scenarios."""

    @property
    def seconds(self) -> float:
        return self.ended - self.asked


@contextmanager
def calling(url: str) -> Iterator[list[Told]]:
    """The list grows as answers come, until the end."""
    told, over = list[Told](), threading.Event()
    with ThreadPoolExecutor(len(_APART) * len(CALLERS)) as pool:
        turns = [pool.submit(_call, url, caller, apart, told, over) for caller in CALLERS for apart in _APART]
        try:
            yield told
        finally:
            over.set()
    for turn in turns:
        turn.result()


def _call(url: str, caller: Caller, apart: bool, told: list[Told], over: threading.Event) -> None:
    body = {"model": _MODELS.get(caller, caller), "stream": caller != "whole", "max_tokens": 4,
            "messages": [{"role": "user", "content": "Hello?"}]}  # fmt: skip
    with closing(KeptConnection(url)) as connection:
        while not over.wait(_PAUSE):
            head, said = _request(body, uuid.uuid4().hex if caller == "keyed" else None)
            asked = time.monotonic()
            try:
                answer = in_words(connection.ask(*((head, said) if apart else (head + said,))))
            except (OSError, HTTPException):
                answer = "nothing"
            told.append(Told(caller, asked, time.monotonic(), answer))


def _request(body: dict[str, object], key: str | None) -> tuple[bytes, bytes]:
    said = json.dumps(body).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: x", "authorization: Bearer dev-key",
             "content-type: application/json", f"content-length: {len(said)}"]  # fmt: skip
    lines += [f"idempotency-key: {key}"] if key else []
    return "\r\n".join([*lines, "", ""]).encode(), said


def in_words(answer: Answer) -> str:
    if answer.status != 200:
        return f"{answer.status} {json.loads(answer.text)['error']['code']}"
    if not _is_whole(answer):
        return BROKEN if "stream_broken" in answer.text else "nothing"
    other = answer.headers.get("x-fallback-model")
    return f"200 by {other}" if other else "200"


def _is_whole(answer: Answer) -> bool:
    """What is not a stream is, if it has its length."""
    streamed = answer.headers.get_content_type() == "text/event-stream"
    return "data: [DONE]" in answer.text if streamed else "choices" in json.loads(answer.text)
