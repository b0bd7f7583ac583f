"""docs/how-to/follow-a-request.md: each query of it is one, and finds what the page says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_gateway.telemetry import families

from ..support.gateway_run import GatewayRun
from ..support.index_mapping import fields, properties
from ..support.kql import parse
from ..support.repository import ROOT
from ..support.vector import Topology
from .test_kibana import documents, is_field

PAGE = (ROOT / "docs" / "how-to" / "follow-a-request.md").read_text(encoding="utf-8")
CAUSES = re.findall(r"\*\*([\w ]+)\.\*\*.*?```promql\n(.*?)\n```.*?```kql\n(.*?)\n```", PAGE, re.DOTALL)
"""Cause, metric, lines."""
KQL = {cause: kql for cause, _, kql in CAUSES}
FOUND = {
    "Error rate": [],
    "Upstream errors": [(200, None)],
    "Rate limit": [(429, "rate_limited")],
    "Circuit open": [(503, "circuit_open")],
}
"""Status and code of the requests of tests/support/gateway_run.py that each finds; none of them is of `chat`."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", PAGE, re.DOTALL)


def test_every_cause_has_its_metric_and_its_lines() -> None:
    assert {cause for cause, _, _ in CAUSES} == {*FOUND, "Latency"}


@pytest.mark.parametrize("query", blocks("kql"))
def test_each_kql_of_the_page_can_be_read(query: str) -> None:
    assert [field for field in parse(query).fields if not is_field(field)] == []


@pytest.mark.parametrize(("cause", "query"), [(cause, kql) for cause, _, kql in CAUSES if cause in FOUND])
def test_each_finds_the_requests_that_it_is_for(cause: str, query: str, run: GatewayRun) -> None:
    requests = [one for one in documents(run) if one["message"] == "request"]
    found = [(one["status"], one.get("code")) for one in requests if parse(query).holds(one)]
    assert found == FOUND[cause]


def test_the_error_rate_s_lines_are_those_of_its_route(run: GatewayRun) -> None:
    query = KQL["Error rate"].replace('"chat"', '"broken"')
    found = [one for one in documents(run) if parse(query).holds(one)]
    assert [(one["route"], one["status"]) for one in found] == [("broken", 503)]


@pytest.mark.parametrize("slow", [{"duration_ms": 2000}, {"first_byte_ms": 1000}, {"longest_gap_ms": 1000}])
def test_latency_s_lines_are_the_slow_ones(slow: dict[str, float], run: GatewayRun) -> None:
    quick = {"duration_ms": 1999.9, "first_byte_ms": 999.9, "longest_gap_ms": 999.9}
    line = next(one for one in documents(run) if one["message"] == "request")
    query = parse(KQL["Latency"])
    assert query.holds({**line, **quick, **slow})
    assert not query.holds({**line, **quick})


def test_each_promql_of_the_page_is_one_over_metrics_that_the_gateway_has(tmp_path: Path) -> None:
    queries = blocks("promql")
    known = {one.name for one in vars(families).values() if isinstance(one, families.Family)}
    asked = {re.sub("_bucket$", "", name) for query in queries for name in re.findall(r"gateway_\w+", query)}
    assert len(asked) == len(CAUSES)
    assert asked <= known
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here (`make services` installs it)")
    rules = [{"record": f"page:query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_a_line_leads_on_by_the_ids_that_the_page_names(run: GatewayRun) -> None:
    order = next(one for one in documents(run) if one.get("request_id") == "order-4711")
    started = json.loads(run.output[0])
    assert order["revision"] == started["revision"], "which `nexus explain` finds the commit of"
    assert len(order["release"]) == 64
    same = [one for one in documents(run) if parse(f'trace_id: "{order["trace_id"]}"').holds(one)]
    assert same == [order]
    chained = [json.loads(line) for lines in run.audit.values() for line in lines]
    assert [one["trace_id"] for one in chained if one.get("request_id") == "order-4711"] == [order["trace_id"]]


def test_the_page_tells_how_long_each_index_is_kept() -> None:
    rows = dict(re.findall(r"\| `(gateway-\w+)` \| `gateway-\w+-YYYY\.MM\.DD` \|.*\| (\d+) days", PAGE))
    assert rows
    for name, days in rows.items():
        policy = json.loads((ROOT / "ops" / "elasticsearch" / f"{name}.lifecycle.json").read_text())["policy"]
        assert policy["phases"]["delete"]["min_age"] == f"{days}d"


def test_the_files_and_the_image_that_the_page_names_are_there() -> None:
    paths = re.findall(r"(?<![\w/-])ops/[\w./-]+\w", " ".join(blocks("sh")))
    assert paths
    assert [path for path in paths if not (ROOT / path).exists() and not path.endswith("logging.env")] == []
    assert f"{image('VECTOR_IMAGE')} test /etc/vector/collect.yaml" in PAGE
    (label,) = Topology("collect.yaml").config["sources"]["gateway_containers"]["include_labels"]
    assert f"`{label}`" in PAGE


def image(name: str) -> str:
    given: dict[str, Any] = dict(re.findall(r"(?m)^(\w+)=(\S+)", (ROOT / "ops/compose/images.env").read_text()))
    return str(given[name]).partition("@")[0]


def test_the_fields_of_the_page_s_first_table_are_fields_of_a_line() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.split("\n## ")[0]))
    assert {"route", "release", "revision", "trace_id"} <= named
    assert named <= fields(properties("gateway-logs")).keys()
