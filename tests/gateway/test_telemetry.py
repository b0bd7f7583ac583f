"""What the gateway says of itself: complete, countable, and without secrets."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from nexus_gateway.cli import gateway as command
from nexus_gateway.settings import VARIABLES, read_settings
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.telemetry.logs import LogWriter, event_line, mask, masked_line, text_of
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.telemetry.request_line import request_line, request_text

from ..support.gateway import BIN, EDGE, RELEASE, Gateway, direct, until, write_routes
from ..support.repository import ROOT
from ..support.upstream import Engine

SCHEMA = Draft202012Validator(json.loads((ROOT / "gateway" / "log.schema.json").read_text()))
SECRET = "canary-secret-7f3a"
FIELDS = {"timestamp", "level", "message", "logger", "request_id", "trace_id", "method", "path", "status",
          "duration_ms", "upstream", "fallback_model", "client_ip", "route", "release", "revision", "key_id",
          "stream", "prompt_tokens", "completion_tokens"}  # fmt: skip


@pytest.fixture
def told(tmp_path: Path, engine: Engine) -> tuple[list[dict[str, Any]], str, str]:
    """(log lines, metrics, the whole log) of four requests with a secret in every place."""
    files = {n: direct(n, engine.url(n)) for n in ("ok", "500")}
    gateway = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", files))).wait()
    gateway.ask("ok", user=SECRET, headers={"x-nexus-session": SECRET})
    gateway.ask("ok", stream=True, text=SECRET)
    gateway.ask("500", text=SECRET)
    gateway.ask(SECRET, headers={"authorization": f"Bearer {SECRET}", "cookie": SECRET})
    gateway.ask(f"{SECRET}\n\x1b[31m")
    metrics = gateway.get("/metrics").text
    assert gateway.stop() == 0
    return gateway.lines(), metrics, gateway.log.read_text()


def test_every_request_is_one_json_line_with_the_fields_of_the_schema(told: tuple[Any, str, str]) -> None:
    lines = [line for line in told[0] if line["message"] == "request" and line["path"] == "/v1/chat/completions"]
    assert [line["status"] for line in lines] == [200, 200, 502, 401, 404]
    assert all(set(line) >= FIELDS for line in lines)
    whole, stream, failed, *_ = lines
    assert (whole["prompt_tokens"], whole["completion_tokens"]) == (7, 3)
    assert (stream["prompt_tokens"], stream["completion_tokens"], stream["stream"]) == (7, 3, True)
    assert (failed["level"], failed["code"], failed["upstream"]) == ("error", "upstream_failed", "500-1")
    assert {line["client_ip"] for line in lines} == {"127.0.0.0"}
    assert {line["key_id"] for line in lines} == {"dev-key", None}


def test_no_secret_is_in_any_output(told: tuple[Any, str, str]) -> None:
    _, metrics, log = told
    assert SECRET not in log
    assert SECRET not in metrics


def test_metrics_have_the_seed_s_names_and_count_what_was_asked(told: tuple[Any, str, str]) -> None:
    families = {family.name: family for family in text_string_to_metric_families(told[1])}
    assert set(families) >= {
        "gateway_requests", "gateway_request_latency_seconds", "gateway_in_flight_requests",
        "gateway_upstream_requests", "gateway_upstream_latency_seconds", "gateway_config_refused",
        "gateway_time_to_first_byte_seconds", "gateway_tokens",
    }  # fmt: skip
    counted = {tuple(sorted(s.labels.items())): s.value for s in families["gateway_requests"].samples}
    path = ("path", "/v1/chat/completions")
    found = {s: counted[("method", "POST"), path, ("status", s)] for s in ("200", "401", "404", "502")}
    assert found == {"200": 2, "401": 1, "404": 1, "502": 1}
    tokens = {(s.labels["release"], s.labels["kind"]): s.value for s in families["gateway_tokens"].samples}
    assert tokens == {(RELEASE, "prompt"): 14, (RELEASE, "completion"): 6}


def test_the_last_lines_before_a_stop_are_written(told: tuple[Any, str, str]) -> None:
    assert told[0][-1]["message"] == "stopped"


@pytest.mark.parametrize(
    ("address", "masked"),
    [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2::3", "2001:db8:1::"), ("unix", None), ("", None)],
)
def test_addresses_are_masked(address: str, masked: str | None) -> None:
    assert mask(address) == masked


def test_the_key_dev_key_is_warned_about(told: tuple[Any, str, str]) -> None:
    assert any(line["level"] == "warning" and "dev-key" in line["message"] for line in told[0])


def test_log_lines_are_plain_ascii(told: tuple[Any, str, str]) -> None:
    assert told[2].isascii()
    assert all(json.loads(line) for line in told[2].splitlines())


def test_every_line_is_of_the_schema(told: tuple[Any, str, str]) -> None:
    for line in told[0]:
        SCHEMA.validate(line)
    messages = {line["message"] for line in told[0]}
    assert messages > {"request", "started", "stopped"}


def test_the_start_says_which_edge_serves(told: tuple[Any, str, str]) -> None:
    (started,) = (line for line in told[0] if line["message"] == "started")
    assert started["edge"] == read_settings(EDGE).edge
    assert not SCHEMA.is_valid({**started, "edge": "fast"})


def test_the_schema_holds_a_request_s_line_to_its_fields(told: tuple[Any, str, str]) -> None:
    line = next(line for line in told[0] if line["message"] == "request")
    for name in FIELDS - {"message"}:
        assert not SCHEMA.is_valid({key: value for key, value in line.items() if key != name}), name
    assert not SCHEMA.is_valid({**line, "more": 1})
    assert not SCHEMA.is_valid({**line, "status": "200"})


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["schema"], "gateway/routes.schema.json"),
        (["schema", "--of", "log"], "gateway/log.schema.json"),
        (["schema", "--of", "audit"], "gateway/audit.schema.json"),
        (["reference", "log"], "docs/reference/log-schema.md"),
        (["reference", "errors"], "docs/reference/errors.md"),
        (["reference", "settings"], "docs/reference/settings.md"),
        (["reference", "metrics"], "docs/reference/metrics.md"),
    ],
)
def test_what_is_made_from_the_definition_is_fresh(words: list[str], file: str) -> None:
    made = CliRunner().invoke(command, words)
    assert made.stdout == (ROOT / file).read_text(), f"run `nexus-gateway {' '.join(words)} > {file}`"


def test_every_variable_that_is_read_is_in_the_reference() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "gateway" / "nexus_gateway").rglob("*.py"))
    assert set(re.findall(r'"((?:GATEWAY|OTEL)_[A-Z_]+)"', sources)) == {name for name, _, _ in VARIABLES}


def printed(*lines: dict[str, Any], masking: bool = True) -> list[dict[str, Any]]:
    """What standard output has of them, which is one line for each whatever counts as a line's end."""
    out = io.StringIO()
    writer = LogWriter(out, masking=masking)
    writer.start()
    for line in lines:
        writer.write(line)
    writer.stop()
    found = out.getvalue().splitlines()
    assert len(found) == len(lines)
    return [json.loads(line) for line in found]


def test_text_with_every_kind_of_line_end_stays_in_one_line() -> None:
    text = "a\r\nb\u2028c\u2029d\x85e\x0bf\x1b[2K\x00g"
    assert printed(event_line("refused", reason=text))[0]["reason"] == text


def test_free_text_is_masked_and_what_is_looked_up_stays() -> None:
    given = event_line("x", revision="4111111111111111", reason="bob@example.com", more=["10.0.0.1", {"a": "::1"}, 3])
    (line,) = printed(given)
    assert (line["revision"], line["reason"]) == ("4111111111111111", "[email]")
    assert line["more"] == ["[ip]", {"a": "[ip]"}, 3]
    assert printed(given, masking=False) == [given]


def test_what_a_bad_file_holds_is_masked_in_the_log(tmp_path: Path) -> None:
    folder = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(tmp_path, "--routes", str(folder)).wait()
    write_routes(folder, {"chat": direct("chat", "ftp://bob@example.com")})
    until(lambda: gateway.config()["refusal"], "the file is refused")
    assert gateway.stop() == 0
    (line,) = (line for line in gateway.lines() if line["level"] == "error")
    assert "[email]" in line["reason"]
    assert "bob" not in gateway.log.read_text()


def test_lines_that_nobody_takes_are_dropped_and_counted() -> None:
    writer = LogWriter(io.StringIO())
    for _ in range(100_003):
        writer.write({})
    assert writer.dropped == 3


def test_a_closed_output_loses_lines_and_ends_nothing() -> None:
    out = io.StringIO()
    out.close()
    writer = LogWriter(out)
    writer.start()
    writer.write(event_line("nobody hears it"))
    writer.stop()
    assert writer.dropped == 1


def test_a_line_that_is_no_json_does_not_end_the_writing() -> None:
    out = io.StringIO()
    writer = LogWriter(out)
    writer.start()
    writer.write({"reason": object()})
    until(lambda: writer.dropped == 1, "it is dropped")
    writer.write({"message": "after"})
    writer.stop()
    assert json.loads(out.getvalue()) == {"message": "after"}


def test_decisions_are_audited_in_a_chain_that_holds_and_names_nobody(tmp_path: Path, engine: Engine) -> None:
    routes = write_routes(tmp_path / "routes", {"ok": direct("ok", engine.url("ok"))})
    folder = tmp_path / "audit"
    gateway = Gateway(tmp_path, "--routes", str(routes), "--audit", str(folder)).wait()
    assert [gateway.ask("ok").status_code, gateway.ask("none").status_code] == [200, 404]
    assert gateway.stop() == 0
    (file,) = folder.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    decisions = [line for line in lines if line["kind"] == "decision"]
    assert [(line["decision"], line["policy"].split(":")[0]) for line in decisions] == [
        ("allowed", "key"),
        ("refused", "model_not_found"),
    ]
    assert "dev-key" not in file.read_text()
    done = subprocess.run([str(BIN / "nexus-gateway"), "audit", "verify", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_audit_log_can_be_switched_off(tmp_path: Path, engine: Engine) -> None:
    routes = write_routes(tmp_path / "routes", {"ok": direct("ok", engine.url("ok"))})
    off = {"GATEWAY_AUDIT_LOGGING_ENABLED": "false"}
    gateway = Gateway(tmp_path, "--routes", str(routes), "--audit", str(tmp_path / "audit"), env=off).wait()
    assert gateway.ask("ok").status_code == 200
    assert gateway.stop() == 0
    assert not (tmp_path / "audit").exists()


def test_an_audit_log_that_cannot_be_written_is_told_and_holds_nobody_up(tmp_path: Path, engine: Engine) -> None:
    routes = write_routes(tmp_path / "routes", {"ok": direct("ok", engine.url("ok"))})
    (tmp_path / "audit").write_text("a file is here already")
    gateway = Gateway(tmp_path, "--routes", str(routes), "--audit", str(tmp_path / "audit")).wait()
    assert gateway.ask("ok").status_code == 200
    assert gateway.stop() == 0
    assert [line for line in gateway.lines() if line["message"].startswith("audit log cannot be written")]


@pytest.mark.parametrize("text", ["plain", "caf\u00e9", "a\nb", "a\u2028b\x85c", "half \ud800", '"\\'])
def test_whatever_is_told_is_one_line_of_ascii(text: str) -> None:
    out = io.StringIO()
    LogWriter(out).put([{"reason": text, "more": [text, {"inner": text}], "number": 1.5, "none": None}])
    assert out.getvalue().isascii()
    (line,) = out.getvalue().splitlines()
    assert json.loads(line) == {"reason": text, "more": [text, {"inner": text}], "number": 1.5, "none": None}
    assert line.startswith('{"reason":"'), "each line in the same way, whatever is in it"


def record_of(**more: Any) -> RequestRecord:
    known: dict[str, Any] = {
        "request_id": "r-1", "trace_id": "4" * 32, "status": 200, "key_id": "team-a", "route": "chat", "ended": 100.25,
        "upstream": "chat-1", "release": "1a" * 32, "revision": "ab" * 32, "first_byte": 100.1234567,
        "prompt_tokens": 7,
    }  # fmt: skip
    return RequestRecord("POST", "/v1/chat/completions", "203.0.113.7", 100.0, **{**known, **more})


def waited() -> Gaps:
    gaps = Gaps()
    gaps.came(1.23456, 2)
    return gaps


@pytest.mark.parametrize("more", [
    {}, {"first_byte": 0.0}, {"stream": True, "gaps": waited()}, {"fallback_model": "caf\u00e9 \"q\" \\ \x7f\n%b"},
    {"upstream": "", "route": "", "release": "", "revision": "", "key_id": ""}, {"client": "no address"},
    {"method": "GET", "path": "/v1/responses/{response_id}", "cached_tokens": 3, "completion_tokens": 1 << 40},
])  # fmt: skip
@pytest.mark.parametrize("rate", [1.0, 0.25, 1e-7])
def test_a_line_that_is_written_as_text_is_the_one_that_is_written_as_fields(more: dict[str, Any], rate: float) -> None:
    record = record_of(**{name: value for name, value in more.items() if name not in ("method", "path", "client")})
    for name in ("method", "path", "client"):
        setattr(record, name, more.get(name, getattr(record, name)))
    text = request_text(record, rate)
    assert text is not None
    assert text.isascii()
    assert text.count(b"\n") == 1
    found, wanted = json.loads(text), json.loads(text_of(masked_line(request_line(record, rate))))
    assert found.pop("timestamp")[:10] == wanted.pop("timestamp")[:10]
    assert found == wanted


@pytest.mark.parametrize("more", [
    {"code": "rate_limited", "reason": "bob@example.com", "status": 429}, {"masked": {"requests": {"email": 1}}},
    {"idempotency": "first"}, {"status": 404}, {"status": 499},
])  # fmt: skip
def test_what_is_told_of_few_requests_is_written_as_fields(more: dict[str, Any]) -> None:
    assert request_text(record_of(**more), 1.0) is None


def test_lines_of_both_kinds_come_in_order_and_each_is_counted() -> None:
    out = io.StringIO()
    writer = LogWriter(out)
    for number in range(1000):
        writer.write_text(b'{"n":%d}\n' % number)
        if number % 300 == 0:
            writer.write({"between": number})
    writer.start()
    writer.stop()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["n"] for line in lines if "n" in line] == list(range(1000))
    assert [lines[place - 1]["n"] for place, line in enumerate(lines) if "between" in line] == [0, 300, 600, 900]


def test_lines_of_text_are_bounded_and_counted_when_they_are_lost() -> None:
    out = io.StringIO()
    out.close()
    writer = LogWriter(out)
    for _ in range(100_003):
        writer.write_text(b"{}\n")
    assert writer.dropped == 3
    writer.start()
    writer.stop()
    assert writer.dropped == 100_003
