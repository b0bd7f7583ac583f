"""What an adapter answers in an engine's stead, in OpenAI's envelope."""

from __future__ import annotations

import json


class NotTaken(Exception):
    """A fault of the client's; `field` is where."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


def envelope(
    message: str, *, type: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> str:
    return json.dumps({"error": {"message": message, "type": type, "param": param, "code": code}})
