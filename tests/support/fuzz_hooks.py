"""Loaded by schemathesis in its own process: lets requests come through to the engine.

Names that it makes up are no models, so most become `mock`. JSON Schema takes `1.0` for an integer; the gateway does
not, since engines disagree about it.
"""

from __future__ import annotations

from typing import Any

import schemathesis

COUNTS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    body = case.body
    if not isinstance(body, dict):
        return
    model = body.get("model")
    if isinstance(model, str) and 0 < len(model) <= 128 and len(body) % 3:
        body["model"] = "mock"
    body.pop("previous_response_id", None)  # nobody has made a response before
    for name in COUNTS:
        if isinstance(value := body.get(name), float) and value.is_integer():
            body[name] = int(value)
