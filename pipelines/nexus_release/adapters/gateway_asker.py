"""Asks a gateway for a chat completion over HTTP, and reads what its headers and its body say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nexus_release.convergence.smoke import Answer
from nexus_release.terminal import plain_line

if TYPE_CHECKING:
    import httpx

_SHOWN = 300  # characters of what went wrong
_MOST_BYTES = 1 << 20  # of an answer of a few tokens


class HttpAsker:
    """The port `Asker`."""

    def __init__(self, key: str, seconds: float) -> None:
        self._key, self._seconds = key, seconds

    def ask(self, gateway: str, model: str, *, stream: bool) -> Answer:
        import httpx

        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 4,
            "stream": stream,
        }
        try:
            with httpx.stream(
                "POST",
                f"{gateway}/v1/chat/completions",
                json=body,
                headers={"authorization": f"Bearer {self._key}"},
                timeout=self._seconds,
                trust_env=False,  # a replica is asked itself, never through somebody's proxy
            ) as answer:
                return self._read(answer, stream)
        except httpx.HTTPError as error:
            return Answer(problem=plain_line(f"{type(error).__name__}: {error}")[:_SHOWN])

    def _read(self, answer: httpx.Response, stream: bool) -> Answer:
        deadline, data = time.monotonic() + self._seconds, b""
        for chunk in answer.iter_bytes():
            data += chunk
            if time.monotonic() > deadline or len(data) > _MOST_BYTES:
                break  # a stream that goes on and on never reaches its end, and is told as not whole
        whole, problem = _stream(data) if stream and answer.status_code == 200 else _document(data)
        return Answer(
            status=answer.status_code,
            revision=answer.headers.get("x-nexus-revision", ""),
            release=answer.headers.get("x-nexus-release", ""),
            fallback=answer.headers.get("x-fallback-model", ""),
            whole=whole,
            problem=plain_line(problem)[:_SHOWN],
        )


def _document(data: bytes) -> tuple[bool, str]:
    """(whether it has a choice, what its error says)."""
    document = _parsed(data)
    return bool(document.get("choices")), _error(document)


def _stream(data: bytes) -> tuple[bool, str]:
    events = list(_events(data))
    documents = [_parsed(event) for event in events if event != b"[DONE]"]
    problem = next((told for document in documents if (told := _error(document))), "")
    chose = any(document.get("choices") for document in documents)
    return chose and not problem and events[-1:] == [b"[DONE]"], problem


def _events(data: bytes) -> Iterator[bytes]:
    for line in data.splitlines():
        if line.startswith(b"data:"):
            yield line[5:].strip()


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(document: dict[str, Any]) -> str:
    error = document.get("error")
    if not error:
        return ""
    return f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else str(error)
