"""A request's decision as a line: without who asked, from where, and what was said."""

from __future__ import annotations

from typing import Any

from nexus_gateway.decisions.considered import Choice, Considered
from nexus_gateway.errors import MODEL_NOT_ALLOWED
from nexus_gateway.telemetry.logs import timestamp
from nexus_gateway.telemetry.masking import masked
from nexus_gateway.telemetry.record import RequestRecord

VERSION = 2
"""Of the line, as `decision_schema` has it, which is loaded where lines are read: it is half a MiB."""
LONGEST_MODEL = 64
"""Characters of a model's name that no route has."""


def decision_line(time: float, record: RequestRecord, considered: Considered) -> dict[str, Any]:
    """`time` is Unix time."""
    return {
        "kind": "decision",
        "version": VERSION,
        "time": timestamp(time),
        "trace_id": record.trace_id,
        "revision": record.revision,
        "path": considered.path,
        "model": considered.model if considered.known else _bounded(considered.model),
        "known": considered.known,
        "allowed": record.code != MODEL_NOT_ALLOWED.code,
        "route": record.model or None,
        "tries": considered.tries,
        "splits": [{"route": route.name, "salt": route.salt, "bucket": place} for route, place in considered.places],
        "rules": [
            {"header": rule.header.decode(), "value": rule.value.decode(), "held": held}
            for rule, held in considered.rules
        ],
        "left_out": considered.left_out,
        "holder": considered.holder or None,
        "choices": _choices(record, considered),
        "status": record.status,
        "code": record.code or None,
        "release": record.release or None,
        "figures": {
            "stream": record.stream,
            "request_bytes": record.request_bytes,
            "answer_bytes": record.answer_bytes,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "ending": record.ending or None,
        },
    }


def _bounded(model: str) -> str:
    """A client may write anything there; half characters, which JSON can say, no reader takes."""
    return masked(model.encode(errors="replace").decode())[:LONGEST_MODEL]


def _choices(record: RequestRecord, considered: Considered) -> list[dict[str, Any]]:
    failures = iter(considered.failures)
    return [_choice(choice, next(failures, None) if choice.asked else None, record, considered)
            for choice in considered.choices]  # fmt: skip


def _choice(choice: Choice, failure: str | None, record: RequestRecord, considered: Considered) -> dict[str, Any]:
    asked = None
    if choice.asked is not None:
        asked = {
            "route": choice.asked.route.name,
            "endpoint": choice.asked.endpoint.id,
            "outcome": failure or _end(record, considered),
            "went_on": failure is not None,
        }
    endpoints = [
        {
            "endpoint": seen.id,
            "circuit": seen.circuit,
            "admits": seen.admits,
            "well": seen.well,
            "resting": seen.resting,
            "in_flight": seen.in_flight,
            **({"chosen": True} if seen.chosen else {}),
        }
        for seen in choice.seen
    ]
    return {"upstream": choice.upstream, "endpoints": endpoints, "asked": asked}


def _end(record: RequestRecord, considered: Considered) -> str:
    """Of the last one that was asked, or would have been."""
    if considered.out_of_retries:
        return "retry_refused"
    return record.code or ("client_gone" if record.status == 499 else "answered")
