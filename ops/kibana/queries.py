"""What is asked of the logs again and again, in KQL. The four panels of the dashboard are the first four."""

from __future__ import annotations

from dataclasses import dataclass

SLOW_MS = 2000
"""Of a whole request."""
SILENT_MS = 1000
"""Until the first byte, or between two events of a stream."""
ID = "REPLACE-ME"
"""What a template has in the place of an id."""

_REQUEST = ("route", "upstream", "release", "status", "duration_ms", "request_id", "trace_id")


@dataclass(frozen=True)
class Question:
    name: str
    """Its id in Kibana is `nexus-<name>`, and a link from outside leads there: it stays."""
    title: str
    answers: str
    """What it is for, in a sentence."""
    kql: str
    columns: tuple[str, ...] = _REQUEST
    panel: bool = False


QUESTIONS = (
    Question(
        "errors",
        "Errors",
        "Requests that failed by our doing or an engine's, by the reason that the client was told.",
        "message: request and status >= 500",
        (*_REQUEST, "code", "reason"),
        panel=True,
    ),
    Question(
        "slow",
        "Slow",
        f"Requests of {SLOW_MS / 1000:g} s and more, whose share sample_rate tells.",
        f"message: request and duration_ms >= {SLOW_MS}",
        (*_REQUEST, "first_byte_ms", "longest_gap_ms", "completion_tokens"),
        panel=True,
    ),
    Question(
        "rate-limit",
        "RateLimit",
        "Who was turned away: by a limit of the caller's, or by an engine's.",
        "message: request and status: 429",
        ("key_id", "code", *_REQUEST),
        panel=True,
    ),
    Question(
        "chat",
        "Chat",
        "Every chat request that is logged.",
        'message: request and path: "/v1/chat/completions"',
        (*_REQUEST, "stream", "prompt_tokens", "completion_tokens"),
        panel=True,
    ),
    Question(
        "upstream-errors",
        "Upstream errors",
        "Engines that gave no usable answer, or none in time.",
        "message: request and code: (upstream_failed or upstream_timeout or stream_broken or upstream_rate_limited)",
        (*_REQUEST, "code", "reason"),
    ),
    Question(
        "circuit-open",
        "Circuit open",
        "Requests that found an engine left alone, and endpoints whose health changed.",
        'code: circuit_open or message: ("endpoint is unwell" or "endpoint is well")',
        ("message", "more.endpoint", *_REQUEST),
    ),
    Question(
        "fallbacks",
        "Fallbacks",
        "Requests that another model answered than was asked for.",
        "message: request and fallback_model: *",
        ("fallback_model", *_REQUEST),
    ),
    Question(
        "silent",
        "Latency: the first token, and stalls",
        f"Answers whose first byte, or a later one, took {SILENT_MS / 1000:g} s and more.",
        f"message: request and (first_byte_ms >= {SILENT_MS} or longest_gap_ms >= {SILENT_MS})",
        (*_REQUEST, "first_byte_ms", "longest_gap_ms"),
    ),
    Question(
        "configuration",
        "Configuration taken or refused",
        "Which revision began to decide when, and which was refused.",
        'message: (started or "configuration taken" or "configuration refused; the last good one serves")',
        ("message", "revision", "reason", "source.container"),
    ),
    Question(
        "process",
        "What befell the processes",
        "Every line that is of no request.",
        "not message: (request or shadow)",
        ("level", "message", "reason", "more", "source.container"),
    ),
    Question(
        "request-trace",
        "One request, by its id",
        f"Put the x-request-id of the answer in the place of {ID}.",
        f'request_id: "{ID}"',
        ("message", *_REQUEST, "code", "reason"),
    ),
    Question(
        "trace",
        "One trace, by its id",
        f"Put the x-trace-id of the answer, or the trace of a span, in the place of {ID}.",
        f'trace_id: "{ID}"',
        ("message", *_REQUEST, "code", "reason"),
    ),
    Question(
        "revision",
        "One configuration, by its revision",
        f"What a commit did: put what `nexus explain` or a metric names in the place of {ID}.",
        f'revision: "{ID}"',
        ("message", *_REQUEST, "code"),
    ),
)
