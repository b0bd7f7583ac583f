"""What a client is told when something fails: one row a condition, one class for all rows, OpenAI's envelope (for
other APIs see `envelopes.py`).

The table is the truth: the code raises its rows, and docs/reference/errors.md is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    status: int
    code: str
    """Ours, in `error.code`: different causes have different codes even where the status is the same."""
    meaning: str


INVALID_API_KEY = Condition(401, "invalid_api_key", "no credential, a wrong one, or two that differ")
MISSING_SCOPE = Condition(403, "missing_scope", "the key may not see this page")
MODEL_NOT_ALLOWED = Condition(403, "model_not_allowed", "the key's policy does not name the model")
MODEL_NOT_FOUND = Condition(404, "model_not_found", "no route has that name")
PAGE_NOT_FOUND = Condition(404, "page_not_found", "there is no such page on this port")
RELEASE_NOT_FOUND = Condition(404, "release_not_found", "the checkout has no record of that id")
RESPONSE_NOT_FOUND = Condition(
    404, "response_not_found", "no response of that id is known of this caller, or the engine that keeps it is gone"
)
PREVIOUS_RESPONSE_NOT_FOUND = Condition(
    400, "previous_response_not_found", "the same of `previous_response_id`, or the model is answered by other engines"
)
INVALID_BODY = Condition(400, "invalid_body", "no JSON, or a field of the wrong kind, or one that stands twice")
FIELD_NOT_ALLOWED = Condition(
    400, "field_not_allowed", "a field that no client may name, or that the key's policy does not pass on"
)
TOO_MANY_TOKENS = Condition(
    400,
    "too_many_tokens",
    "the key's policy allows shorter answers only, or fewer tokens",
)
INVALID_HEAD = Condition(400, "invalid_head", "no HTTP, or a head that could be read in two ways")
HEAD_TOO_LARGE = Condition(431, "head_too_large", "the head has too many bytes or too many headers")
METHOD_NOT_ALLOWED = Condition(405, "method_not_allowed", "the path takes other methods; see allow")
INVALID_QUERY = Condition(400, "invalid_query", "a value of the query that the page does not take")
INVALID_IDEMPOTENCY_KEY = Condition(
    400, "invalid_idempotency_key", "several idempotency keys, or one that is not 1 to 255 printable ASCII characters"
)
BODY_TIMEOUT = Condition(408, "body_timeout", "the body did not arrive within its deadline")
IDEMPOTENCY_CONFLICT = Condition(
    409, "idempotency_conflict", "the idempotency key was sent before with another body; to ask again does not help"
)
IDEMPOTENCY_IN_PROGRESS = Condition(
    409, "idempotency_in_progress", "another gateway is still at work on the request with that key"
)
BODY_TOO_LARGE = Condition(413, "body_too_large", "the body is larger than the limit")
API_NOT_SERVED = Condition(404, "api_not_served", "no engine of the model speaks this API")
UNSUPPORTED_MEDIA = Condition(415, "unsupported_media_type", "the body is not plain application/json")
RATE_LIMITED = Condition(429, "rate_limited", "the caller's own limit is used up; see retry-after")
UPSTREAM_RATE_LIMITED = Condition(429, "upstream_rate_limited", "the engine has too much to do; see retry-after")
UPSTREAM_FAILED = Condition(502, "upstream_failed", "the engine did not give a usable answer")
CIRCUIT_OPEN = Condition(503, "circuit_open", "the engine failed repeatedly and is left alone for a while")
OVERLOADED = Condition(503, "overloaded", "the engine is full and the wait was too long, or the gateway is")
LIMITER_UNAVAILABLE = Condition(503, "limiter_unavailable", "limits cannot be counted, and are set to hold then")
RESPONSES_UNAVAILABLE = Condition(
    503, "responses_unavailable", "nobody can say just now whose that response is, so no engine is asked for it"
)
CHECKOUT_UNREADABLE = Condition(503, "checkout_unreadable", "a file of the checkout is not what the console can read")
IDEMPOTENCY_UNAVAILABLE = Condition(
    503, "idempotency_unavailable", "nobody can say whether the key was sent before, so no engine is called"
)
DRAINING = Condition(503, "draining", "this gateway is going; ask again and another answers")
UPSTREAM_TIMEOUT = Condition(
    504, "upstream_timeout", "the engine's connection or its first byte did not come within its deadline"
)
STREAM_BROKEN = Condition(502, "stream_broken", "the answer broke off after it had begun; what came is not all")
INTERNAL = Condition(500, "internal_error", "a fault of the gateway itself; the request id finds it in the log")

CONDITIONS = tuple(value for value in list(globals().values()) if isinstance(value, Condition))

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """A request that ends with one of the conditions. `reason` is for the client and holds nothing secret."""

    def __init__(self, condition: Condition, reason: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(reason or condition.meaning)
        self.condition, self.headers = condition, headers

    def envelope(self) -> dict[str, object]:
        status = self.condition.status
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"message": str(self), "type": kind, "param": None, "code": self.condition.code}


class ClientGone(Exception):
    """The client closed its connection; nobody is left to be told. Logged as 499."""


def forget_frames(error: BaseException) -> None:
    """Of an error that has been told. Its traceback holds every frame that it went through, they hold the request and
    the call, and those hold the error: all of it would wait for Python's collector, also what a client has left."""
    told: BaseException | None = error
    while told is not None:
        told.__traceback__ = None
        told = told.__context__
