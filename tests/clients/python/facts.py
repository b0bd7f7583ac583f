"""What a client has found out, as one JSON object on the last line, for the test that started it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

QUESTION = "Where is it warm?"
CHAT: list[Any] = [{"role": "user", "content": QUESTION}]


class Weather(BaseModel):
    """How warm it is in a city."""

    city: str
    celsius: int


def raised(call: Callable[[], Any]) -> str:
    """The class of what `call` raises."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__module__.split('.')[0]}.{type(error).__name__}"
    return "nothing"


def ended(stream: Callable[[], Iterable[str | None]]) -> list[str]:
    """What came of a stream, and the class of what it ended with."""
    came: list[str] = []

    def read() -> None:
        for piece in stream():
            came.append(piece or "")

    by = raised(read)
    return ["".join(came), by]


def seconds(call: Callable[[], Any]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start


def tell(**facts: Any) -> None:
    print()
    print(json.dumps(facts))
