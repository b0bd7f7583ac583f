"""Answers as bytes, and what of them is the same for the same request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httptools

_ID = re.compile(rb"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b")


@dataclass
class Heard:
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False

    def same(self) -> tuple[int, list[tuple[bytes, bytes]], bytes, bool]:
        """Without the date, and with every id that was made alike."""
        headers = sorted((name.lower(), _ID.sub(b"ID", value)) for name, value in self.headers if name != b"date")
        return self.status, headers, _ID.sub(b"ID", self.body), self.whole

    def first(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")


class _Reader:
    def __init__(self) -> None:
        self.answers: list[Heard] = []
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.answers.append(Heard())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answers[-1].headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.answers[-1].status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.answers[-1].body += data

    def on_message_complete(self) -> None:
        self.answers[-1].whole = True


def heard(data: bytes) -> list[Heard]:
    """The answers in `data`; the last may not be whole."""
    reader = _Reader()
    reader.parser.feed_data(data)
    return reader.answers
