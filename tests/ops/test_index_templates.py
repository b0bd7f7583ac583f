"""ops/elasticsearch: every field that a line can have has a mapping, and no document has any other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.telemetry.audit_schema import LINES
from nexus_gateway.telemetry.log_schema import EventLine, RequestLine, ShadowLine, Side

from ..support.gateway_run import GatewayRun
from ..support.index_mapping import faults, fields, properties, template
from ..support.repository import ROOT
from ..support.vector import Topology

NAMES = ("gateway-logs", "gateway-audit", "gateway-unparsed")
COLLECT = Topology("collect.yaml")
MOMENT = "2026-01-02T03:04:05.678Z"


def documents(source: str, **event: Any) -> list[tuple[str, dict[str, Any]]]:
    """Index's name and document of what comes from a source."""
    return [
        (COLLECT.sinks[sink]["topic"], json.loads(COLLECT.encoded(sink, made)))
        for sink, made in COLLECT.flow(source, event)
    ]


def test_every_field_of_a_schema_is_mapped() -> None:
    logs, audit = properties("gateway-logs"), properties("gateway-audit")
    assert {name for line in (RequestLine, ShadowLine, EventLine) for name in line.model_fields} <= logs.keys()
    assert {name for line in LINES for name in line.model_fields} <= audit.keys()
    assert logs["primary"]["properties"].keys() == logs["shadow"]["properties"].keys() == Side.model_fields.keys()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_mapped_by_surprise(name: str) -> None:
    mappings = template(name)["template"]["mappings"]
    parts = [mappings, *(one for one in mappings["properties"].values() if one["type"] == "object")]
    assert [one["dynamic"] for one in parts] == ["strict"] * len(parts)
    assert len(fields(mappings["properties"])) < 100


def test_every_line_of_a_gateway_becomes_a_document_that_its_index_takes(run: GatewayRun) -> None:
    found = [one for line in run.output for one in documents("gateway_containers", message=line, host="h", image="i")]
    for path, lines in run.audit.items():
        found += [one for line in lines for one in documents("audit_files", message=line, file=path)]
    found += documents("gateway_containers", message="Traceback (most recent call last):", container_name="c")
    assert [(index, one) for index, one in found if faults(properties(index), one)] == []
    assert {index for index, _ in found} == set(NAMES)


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"new": 1}, "new: strict_dynamic_mapping_exception"),
        ({"primary": {"new": 1}}, "primary.new: strict_dynamic_mapping_exception"),
        ({"primary": 1}, "primary: is no object"),
        ({"status": "200"}, "status: '200' is no long"),
        ({"status": True}, "status: True is no long"),
        ({"duration_ms": "1"}, "duration_ms: '1' is no double"),
        ({"timestamp": "2026-01-02 03:04"}, "timestamp: '2026-01-02 03:04' is no date"),
        ({"client_ip": "10.0.0"}, "client_ip: '10.0.0' is no ip"),
        ({"stream": "true"}, "stream: 'true' is no boolean"),
        ({"route": 1}, "route: 1 is no keyword"),
        ({"routes": ["a", 1]}, "routes: 1 is no keyword"),
        ({"reason": 1}, "reason: 1 is no match_only_text"),
        ({"more": {"a": {"b": 1}}}, "more: {'a': {'b': 1}} is no flattened"),
    ],
)
def test_a_document_that_does_not_fit_is_told(document: dict[str, Any], fault: str) -> None:
    assert faults(properties("gateway-logs"), document) == [fault]


@pytest.mark.parametrize("name", NAMES)
def test_an_index_is_not_closed_to_writing_while_kafka_may_still_bring_lines_of_its_day(name: str) -> None:
    """What ILM merges it makes read-only, and a document that comes later is refused."""
    phases = json.loads(lifecycle(name).read_text())["policy"]["phases"]
    kept = retention_hours()[name]
    assert "forcemerge" not in phases["hot"]["actions"]
    assert days(phases["warm"]["min_age"]) * 24 >= 24 + kept
    assert days(phases["delete"]["min_age"]) > days(phases["warm"]["min_age"])
    assert list(phases["delete"]["actions"]) == ["delete"]


def retention_hours() -> dict[str, int]:
    """Of each topic of ops/kafka/topics.txt."""
    rows = [line.split() for line in (ROOT / "ops" / "kafka" / "topics.txt").read_text().splitlines()]
    return {row[0]: int(row[2]) for row in rows if row and row[0] != "#"}


def lifecycle(name: str) -> Path:
    return ROOT / "ops" / "elasticsearch" / f"{name}.lifecycle.json"


def days(text: str) -> int:
    found = re.fullmatch(r"(\d+)d", text)
    assert found
    return int(found[1])
