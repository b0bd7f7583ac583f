"""ops/vector: what becomes of each line that a gateway writes, and of what it never would."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from nexus_gateway.telemetry.audit_schema import LINES
from nexus_gateway.telemetry.log_schema import EventLine, RequestLine, ShadowLine, Side

from ..support.gateway_run import GatewayRun
from ..support.vector import FOLDER, Dropped, Topology, execute, resolved
from ..support.vector_options import faults

COLLECT, STORE = Topology("collect.yaml"), Topology("store.yaml")
FILES = pytest.mark.parametrize("topology", [COLLECT, STORE], ids=["collect", "store"])
CONTAINER = {"host": "node-1", "container_name": "gateway-1", "image": "gateway:1", "stream": "stdout"}
MOMENT = "2026-01-02T03:04:05.678Z"
HEAD = {"timestamp": MOMENT, "level": "info", "logger": "nexus.gateway", "message": "request"}
LONG = "x" * 40_000


def collected(message: str) -> list[tuple[str, dict[str, Any]]]:
    """Sink and event of a line of a gateway's container."""
    return list(COLLECT.flow("gateway_containers", {"message": message, **CONTAINER}))


def audited(message: str) -> list[tuple[str, dict[str, Any]]]:
    return list(COLLECT.flow("audit_files", {"message": message, "host": "node-1", "file": "/var/log/a.jsonl"}))


@pytest.mark.parametrize("program", sorted((FOLDER / "programs").iterdir()), ids=lambda path: path.stem)
def test_each_program_is_compiled_by_vector_s_own_compiler(program: Any) -> None:
    from vrl_python import VRLRuntime

    text = program.read_text(encoding="utf-8")
    assert VRLRuntime().check_syntax(text) is None
    assert VRLRuntime().check_syntax(text + "\n.x = parse_json(.message)") is not None, "an error that is not handled"


@FILES
def test_each_file_has_only_documented_options_and_leads_every_event_somewhere(topology: Topology) -> None:
    assert faults(topology.config) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("key_field: kafka_key", "key_feld: kafka_key", "sinks.gateway_logs: Additional properties are not allowed"),
        ("compression: zstd", "compression: zst", "sinks.gateway_logs.compression: 'zst' is not one of"),
        ("max_size: 1073741824", "max_size: 1024", "sinks.gateway_logs.buffer"),
        ("    type: docker_logs\n", "    type: docker\n", "sources.gateway_containers: no type 'docker'"),
        ("inputs: [audit_lines]", "inputs: [audit_line]", "gateway_audit: nothing gives its input audit_line"),
        ("inputs: [audit_lines]", "inputs: [gateway_lines]", "audit_lines: nobody reads what it gives"),
        ("inputs: [gateway_lines.dropped, audit_lines.dropped]", "inputs: [audit_lines.dropped]", "gateway_lines.drop"),
        ("inputs: [audit_files]", "inputs: [audit_files, unparsed_lines]", "audit_lines: is behind itself"),
        ("    reroute_dropped: true\n", "", "unparsed_lines: nothing gives its input gateway_lines.dropped"),
        ("data_dir:", "datadir:", "the file: Additional properties"),
    ],
)
def test_a_fault_of_a_file_is_named(old: str, new: str, said: str) -> None:
    broken = Topology("collect.yaml")
    assert old in broken.text
    assert any(said in fault for fault in faults(yaml.safe_load(broken.text.replace(old, new, 1))))


@FILES
def test_nothing_is_lost_while_kafka_or_elasticsearch_is_away(topology: Topology) -> None:
    sinks = [sink for sink in topology.sinks.values() if sink["type"] != "prometheus_exporter"]
    assert sinks
    for sink in sinks:
        assert sink["acknowledgements"] == {"enabled": True}
        assert sink["buffer"]["when_full"] == "block"
        assert sink.get("message_timeout_ms", 0) == 0
        assert "retry_attempts" not in sink.get("request", {})
    for name, transform in topology.transforms.items():
        assert transform.get("reroute_dropped") or "unparsed_line" in transform["file"], name


@FILES
def test_its_own_tests_pass_and_would_fail_by_another_program(topology: Topology) -> None:
    for test in topology.config["tests"]:
        assert topology.failed_test(test) is None, test["name"]
    broken = Topology("collect.yaml" if topology is COLLECT else "store.yaml")
    broken.program = lambda transform: ". = {}"  # type: ignore[method-assign] # what every test must notice
    assert all(broken.failed_test(test) for test in broken.config["tests"])


def test_every_line_of_a_gateway_goes_to_its_topic_with_all_that_it_says(run: GatewayRun) -> None:
    for line in run.output:
        ((sink, event),) = collected(line)
        assert sink == "gateway_logs", line
        told = json.loads(line)
        kept = {**event, **event.get("more", {})}
        assert {name: kept[name] for name in told} == told
        assert event["source"] == {"host": "node-1", "container": "gateway-1", "image": "gateway:1"}
    messages = {json.loads(line)["message"] for line in run.output}
    assert {"started", "request", "shadow", "stopped"} <= messages


def test_every_audit_line_goes_to_a_topic_of_its_own_as_it_was_written(run: GatewayRun) -> None:
    lines = [line for lines in run.audit.values() for line in lines]
    for line in lines:
        ((sink, event),) = audited(line)
        assert sink == "gateway_audit"
        assert event["kafka_key"] == "/var/log/a.jsonl"
        added = ("timestamp", "source", "kafka_key", "kafka_headers")
        chained = {name: value for name, value in event.items() if name not in added}
        assert json.dumps(chained, sort_keys=True, separators=(",", ":")) == line, "so the chain can be verified"
    assert {json.loads(line)["kind"] for line in lines} == {"header", "decision", "closed"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Traceback (most recent call last):", "not JSON"),
        ("", "not JSON"),
        ("[1, 2]", "not an object"),
        ("{}", "logger is not nexus.gateway"),
        ('"text"', "not an object"),
        (json.dumps({**HEAD, "logger": "uvicorn"}), "logger is not nexus.gateway"),
        (json.dumps({**HEAD, "message": 7}), "message is no string"),
        (json.dumps({**HEAD, "level": "loud"}), "level is not info, warning or error"),
        (json.dumps({**HEAD, "timestamp": "yesterday"}), "timestamp is not RFC 3339"),
        (json.dumps({**HEAD, "status": "500", "stream": 1}), "of another type: status, stream"),
        (json.dumps({**HEAD, "client_ip": "nowhere"}), "of another type: client_ip"),
        (json.dumps({**HEAD, "routes": ["a", 1]}), "of another type: routes"),
        (json.dumps({**HEAD, "primary": {"answer_bytes": "many"}}), "of another type: primary.answer_bytes"),
    ],
)
def test_what_is_no_line_of_ours_is_kept_apart_with_the_reason(message: str, reason: str) -> None:
    ((sink, event),) = collected(message)
    assert sink == "gateway_unparsed"
    assert (event["line"], event["reason"], event["program"]) == (message, reason, "gateway_lines")
    assert event["source"]["container"] == "gateway-1"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("no line", "not JSON"),
        (json.dumps({"kind": "secret", "time": MOMENT}), "kind is none of an audit line's"),
        (json.dumps({"kind": "gap", "time": "now"}), "time is not RFC 3339"),
        (json.dumps({"kind": "gap", "time": MOMENT, "lost": "3"}), "unknown or of another type: lost"),
        (json.dumps({"kind": "gap", "time": MOMENT, "who": "x"}), "unknown or of another type: who"),
    ],
)
def test_what_is_no_audit_line_is_kept_apart_too(message: str, reason: str) -> None:
    ((sink, event),) = audited(message)
    assert (sink, event["line"], event["reason"]) == ("gateway_unparsed", message, reason)


@pytest.mark.parametrize(("message", "sink"), [(json.dumps(HEAD), "gateway_logs"), ("no line", "gateway_unparsed")])
def test_a_pod_s_line_says_where_it_was_written_as_a_container_s_does(message: str, sink: str) -> None:
    pod = {"pod_name": "gateway-7d9-x", "pod_node_name": "node-2", "container_image": "gateway:2"}
    event = {"message": message, "file": "/var/log/pods/0.log", "kubernetes": pod, "source_type": "kubernetes_logs"}
    ((to, made),) = COLLECT.flow("gateway_containers", event)
    assert to == sink
    assert made["source"].items() >= {"host": "node-2", "container": "gateway-7d9-x", "image": "gateway:2"}.items()


def test_a_long_text_is_cut_and_its_length_told() -> None:
    ((_, event),) = collected(LONG)
    assert (len(event["line"]), event["bytes"]) == (16_384 + len("..."), len(LONG))


def test_a_field_that_a_newer_gateway_adds_is_kept_and_changes_no_mapping() -> None:
    ((sink, event),) = collected(json.dumps({**HEAD, "new": {"deep": 1}, "list": [{"a": 1}]}))
    assert sink == "gateway_logs"
    assert event["more"] == {"new.deep": 1, "list": '[{"a":1}]'}


def test_every_field_of_the_schemas_is_one_that_the_programs_name() -> None:
    """Else a field of ours would lie under `more`, or an audit line among what nobody could read."""
    for line in (RequestLine, ShadowLine, EventLine):
        for name in line.model_fields.keys() - HEAD.keys() - {"primary", "shadow"}:
            ((_, event),) = collected(json.dumps({**HEAD, name: None}))
            assert (name, event[name]) == (name, None)
    for name in Side.model_fields:
        ((_, event),) = collected(json.dumps({**HEAD, "primary": {name: None}, "shadow": {name: None}}))
        assert event["primary"] == event["shadow"] == {name: None}
    known = {name for line in LINES for name in line.model_fields}
    ((_, refused),) = audited(json.dumps({**{name: {} for name in known}, "kind": "gap", "time": MOMENT, "who": 1}))
    assert refused["reason"].endswith("who")
    text = (FOLDER / "programs" / "audit_line.vrl").read_text(encoding="utf-8")
    assert [name for name in sorted(known) if f'"{name}": ' not in text] == []


def test_docker_s_words_do_not_take_the_place_of_the_gateway_s() -> None:
    """Both have a `stream`, a `timestamp` and a `message`."""
    ((_, event),) = collected(json.dumps({**HEAD, "stream": True}))
    assert (event["stream"], event["timestamp"], event["message"]) == (True, MOMENT, "request")


def test_a_variable_that_is_not_set_stops_the_start() -> None:
    assert "${VECTOR_PASSWORD}" in STORE.text
    with pytest.raises(KeyError, match="NOBODY is not set"):
        resolved("x: ${NOBODY}", {})


def test_a_program_that_fails_says_which_way() -> None:
    with pytest.raises(Dropped, match="why") as aborted:
        execute('abort "why"', {})
    with pytest.raises(Dropped) as failed:
        execute("parse_json!(.message)", {"message": "{"})
    assert (aborted.value.args[0], failed.value.args[0]) == ("abort", "error")
