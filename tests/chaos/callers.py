"""Who asks the gateway all through a scenario, and what each was told."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import httpx

from ..support.gateway import PLAIN
from .scenario import BROKEN, Caller

CALLERS: Sequence[Caller] = get_args(Caller)
_EACH = 2
_PAUSE = 0.1
_PATIENCE = 60.0
_MODELS = {"keyed": "spare"}
"""Of who does not ask for the model of their own name."""


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
    with ThreadPoolExecutor(_EACH * len(CALLERS)) as pool:
        turns = [pool.submit(_call, url, caller, told, over) for caller in CALLERS for _ in range(_EACH)]
        try:
            yield told
        finally:
            over.set()
    for turn in turns:
        turn.result()


def _call(url: str, caller: Caller, told: list[Told], over: threading.Event) -> None:
    headers = {"authorization": "Bearer dev-key"}
    body = {"model": _MODELS.get(caller, caller), "stream": True, "max_tokens": 4,
            "messages": [{"role": "user", "content": "Hello?"}]}  # fmt: skip
    with httpx.Client(base_url=url, headers=headers, verify=PLAIN, timeout=_PATIENCE) as client:
        while not over.wait(_PAUSE):
            key = {"idempotency-key": uuid.uuid4().hex} if caller == "keyed" else {}
            asked = time.monotonic()
            try:
                answer = in_words(client.post("/v1/chat/completions", json=body, headers=key))
            except httpx.HTTPError:
                answer = "nothing"
            told.append(Told(caller, asked, time.monotonic(), answer))


def in_words(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return f"{answer.status_code} {json.loads(answer.text)['error']['code']}"
    if "data: [DONE]" not in answer.text:
        return BROKEN if "stream_broken" in answer.text else "nothing"
    other = answer.headers.get("x-fallback-model")
    return f"200 by {other}" if other else "200"
