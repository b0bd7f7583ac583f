"""Whether spans are exported, and where to, by the variables that every OpenTelemetry exporter has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.record import RequestRecord


def spans_of_environment(
    environ: Mapping[str, str], changed: Callable[[bool, str], None]
) -> BatchWriter[RequestRecord] | None:
    """None where no collector is named. `changed(spans arrive, why not)`. Raises ConfigRefused."""
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    name = next((name for name in endpoints if environ.get(name)), None)
    if name is None:
        return None
    parts = urlsplit(environ[name])
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigRefused(f"{name}: no address: write http://host:4318 or https://host")
    for said in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (protocol := environ.get(said, "http/protobuf")) != "http/protobuf":
            raise ConfigRefused(f"{said}: {protocol!r}: write http/protobuf, which is what spans go by")
    try:
        from nexus_gateway.telemetry.spans import SpanWriter
    except ModuleNotFoundError as error:
        raise ConfigRefused(f"{name}: {error.name} is not installed: pip install 'nexus-platform[otlp]'") from None
    return SpanWriter(changed)
