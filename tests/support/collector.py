"""An OpenTelemetry collector of ours: takes OTLP/HTTP, decodes the real protobuf, and can be away or slow."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from nexus_release.local.free_ports import free_port


@dataclass(frozen=True)
class Taken:
    """One span, with its attributes and its resource's as plain values."""

    span: Span
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()


class Collector:
    """On the same port each time it is started."""

    def __init__(self) -> None:
        self.port = free_port()
        self.spans: list[Taken] = []
        self.raw: list[bytes] = []
        self.paths: list[str] = []
        self.status = 200
        self.open = threading.Event()
        """Closed, it takes a request and does not answer."""
        self.open.set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Collector:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.raw.append(body)
                collector.paths.append(self.path)
                collector.open.wait(30)
                if collector.status == 200:
                    collector.take(body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the tests look at what came."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        self.open.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [Taken(span, _values(span.attributes), about) for span in scope.spans]

    def of(self, request_id: str) -> tuple[Taken, list[Taken]]:
        """The span of a request, and those of its calls in their order."""
        (own,) = (taken for taken in self.spans if taken.attributes.get("nexus.request_id") == request_id)
        tries = [taken for taken in self.spans if taken.parent == own.id]
        return own, sorted(tries, key=lambda taken: taken.span.start_time_unix_nano)


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in attributes}


def _value(pair: KeyValue) -> Any:
    return getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
