"""A span for each request and one for each call of an engine, made from the record after the request's end.

They go to an OpenTelemetry collector by OTLP/HTTP, in batches, by a thread. Open: where the collector is away or slow,
requests go on; after the exporter's own tries and its deadline (OTEL_EXPORTER_OTLP_TIMEOUT, 10 s) a batch is lost and
counted. The log tells once that spans are lost, and once that they arrive again.

Needs the extra `otlp`: import it through collector.py.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from nexus_gateway.telemetry import genai
from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.record import RequestRecord

MOST_WAITING = 40_000
"""Spans that wait for a collector that does not take them; two for most requests, which are about a kilobyte each."""
STOP_SECONDS = 5.0
"""For what waits when the process ends. A try that is under way then still has the exporter's own deadline."""

_MOST_AT_ONCE = 1_000  # of a post
_FLUSH_SECONDS = 1.0
_SCOPE = InstrumentationScope("nexus_gateway", version("nexus-platform"))

Changed = Callable[[bool, str], None]
"""(whether spans arrive, why not)."""


class NotTaken(Exception):
    """The collector has not taken a batch."""


class SpanWriter(BatchWriter[RequestRecord]):
    """Takes requests that are to be traced, at their end: nothing may change them any more."""

    def __init__(self, changed: Changed) -> None:
        """The exporter reads the OTEL_* variables itself. `changed` is called in the writer's thread."""
        super().__init__(
            "nexus-spans", most_waiting=MOST_WAITING, most_at_once=_MOST_AT_ONCE, flush_seconds=_FLUSH_SECONDS
        )
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())  # the gateway's own log tells of it
        self._changed, self._session, self._resource = changed, _Session(), _resource()
        self._exporter, self._arrive = OTLPSpanExporter(session=self._session), True

    def weight(self, item: RequestRecord) -> int:
        return 1 + len(item.tries)

    def put(self, batch: list[RequestRecord]) -> None:
        offset = time.time_ns() - time.monotonic_ns()
        spans = [span for record in batch for span in spans_of(record, self._resource, offset)]
        arrived = self._exporter.export(spans) is SpanExportResult.SUCCESS
        if arrived != self._arrive:
            self._arrive = arrived
            self._changed(arrived, "" if arrived else self._session.outcome)
        if not arrived:
            raise NotTaken

    def stop(self) -> None:
        """Sends what waits. What the collector has not taken after `STOP_SECONDS` is lost and counted."""
        giving_up = threading.Timer(STOP_SECONDS, self._exporter.shutdown)
        giving_up.daemon = True
        giving_up.start()
        super().stop()
        giving_up.cancel()


class _Session(requests.Session):
    """Knows how its last request ended: the exporter says only whether."""

    outcome = ""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            answer = super().request(*args, **kwargs)
        except requests.RequestException as error:
            self.outcome = type(error).__name__  # its text may hold the address with a credential
            raise
        self.outcome = f"the collector answered {answer.status_code}"
        return answer


def spans_of(record: RequestRecord, resource: Resource, offset: int) -> Iterator[ReadableSpan]:
    """The request's own span, and one for each of its calls. `offset`: nanoseconds from the record's clock to Unix
    time."""
    own = _context(record, record.span_id)
    yield ReadableSpan(
        genai.request_name(record),
        context=own,
        parent=_context(record, record.parent_id, remote=True) if record.parent_id else None,
        resource=resource,
        attributes=genai.request_attributes(record),
        kind=SpanKind.SERVER,
        status=_status(genai.failed(record)),
        start_time=_unix(record.started, offset),
        end_time=_unix(record.ended, offset),
        instrumentation_scope=_SCOPE,
    )
    for number, called in enumerate(record.tries):
        yield ReadableSpan(
            genai.try_name(record, called),
            context=_context(record, called.span_id),
            parent=own,
            resource=resource,
            attributes=genai.try_attributes(record, number),
            kind=SpanKind.CLIENT,
            status=_status(genai.try_error(called) is not None),
            start_time=_unix(called.started, offset),
            end_time=_unix(called.ended, offset),
            instrumentation_scope=_SCOPE,
        )


def _context(record: RequestRecord, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(record.trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED))


def _status(failed: bool) -> Status:
    return Status(StatusCode.ERROR if failed else StatusCode.UNSET)


def _unix(seconds: float, offset: int) -> int:
    return int(seconds * 1e9) + offset


def _resource() -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word."""
    ours = {
        "service.name": "nexus-gateway",
        "service.version": version("nexus-platform"),
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource(ours).merge(OTELResourceDetector().detect())
