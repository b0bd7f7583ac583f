"""What ops/kibana gives to Kibana: it holds together, asks of fields that there are, and finds what it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from urllib.parse import unquote

import pytest

from ..support.gateway_run import GatewayRun
from ..support.index_mapping import fields, properties, template
from ..support.kql import Unreadable, parse
from ..support.repository import ROOT
from ..support.vector import Topology

OBJECTS: list[dict[str, Any]] = [
    json.loads(line) for line in (ROOT / "ops" / "kibana" / "saved_objects.ndjson").read_text().splitlines()
]
LOGS = fields(properties("gateway-logs"))
FLATTENED = tuple(f"{path}." for path, kind in LOGS.items() if kind == "flattened")


def of(kind: str) -> dict[str, dict[str, Any]]:
    """Id -> attributes."""
    return {one["id"]: one["attributes"] for one in OBJECTS if one["type"] == kind}


def source(attributes: dict[str, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return parsed


def is_field(name: str) -> bool:
    return name in LOGS or name.startswith(FLATTENED)


QUERIES = {name: attributes["query"]["query"] for name, attributes in of("query").items()}
EACH_QUERY = pytest.mark.parametrize("name", sorted(QUERIES))


def test_every_object_is_one_and_leads_to_one_that_is_there() -> None:
    count = Counter((one["type"], one["id"]) for one in OBJECTS)
    assert count.most_common(1)[0][1] == 1
    led = [(to["type"], to["id"]) for one in OBJECTS for to in one["references"]]
    assert len(led) > len(QUERIES)
    assert set(led) <= set(count)


def test_the_dashboard_has_the_panels_that_are_named_each_by_its_own_search() -> None:
    (dashboard,) = (one for one in OBJECTS if one["type"] == "dashboard")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    assert [panel["title"] for panel in panels] == ["Errors", "Slow", "RateLimit", "Chat"]
    references = {one["name"]: one["id"] for one in dashboard["references"]}
    searches = of("search")
    for panel in panels:
        led = references.pop(f"{panel['panelIndex']}:{panel['panelRefName']}")
        assert searches[led]["title"] == f"Gateway: {panel['title']}"
    assert not references
    places = [tuple(panel["gridData"][key] for key in "xywh") for panel in panels]
    assert len({(x, y) for x, y, _, _ in places}) == len(panels)
    assert all(x % w == y % h == 0 and x + w <= 48 for x, y, w, h in places)


def test_each_search_reads_the_logs_view_by_the_query_that_is_saved_too() -> None:
    searches = of("search")
    assert searches.keys() == QUERIES.keys()
    for one in OBJECTS:
        if one["type"] == "search":
            (to,) = one["references"]
            assert (to["name"], to["id"]) == (source(one["attributes"])["indexRefName"], "gateway-logs")
            assert source(one["attributes"])["query"] == {"query": QUERIES[one["id"]], "language": "kuery"}


def test_each_data_view_shows_the_indices_of_a_template_by_their_time() -> None:
    for name, view in of("index-pattern").items():
        assert template(name)["index_patterns"] == [view["title"]]
        assert fields(properties(name))[view["timeFieldName"]] == "date"
    assert of("index-pattern")["gateway-logs"]["title"] == "gateway-logs-*"


@EACH_QUERY
def test_each_query_can_be_read_and_names_fields_that_there_are(name: str) -> None:
    query = parse(QUERIES[name])
    assert query.fields
    assert [field for field in query.fields if not is_field(field)] == []
    assert [column for column in of("search")[name]["columns"] if not is_field(column)] == []


FOUND = {
    "nexus-errors": ["circuit_open"],
    "nexus-rate-limit": ["rate_limited"],
    "nexus-upstream-errors": [],
    "nexus-circuit-open": ["circuit_open"],
    "nexus-fallbacks": [None],
}
"""The codes of the requests of tests/support/gateway_run.py that each finds, where it is not all."""


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_query_finds_the_requests_that_it_is_for(name: str, run: GatewayRun) -> None:
    requests = [one for one in documents(run) if one["message"] == "request"]
    query = parse(QUERIES[name])
    assert [one.get("code") for one in requests if query.holds(one)] == FOUND[name]


@pytest.mark.parametrize(
    ("name", "slow"),
    [("slow", {"duration_ms": 2000}), ("silent", {"first_byte_ms": 1000}), ("silent", {"longest_gap_ms": 1000.5})],
)
def test_what_is_slow_is_found_and_what_is_not_is_not(name: str, slow: dict[str, float], run: GatewayRun) -> None:
    quick = {"duration_ms": 1999.9, "first_byte_ms": 999.9, "longest_gap_ms": 999.9}
    line = next(one for one in documents(run) if one["message"] == "request")
    query = parse(QUERIES[f"nexus-{name}"])
    assert query.holds({**line, **quick, **slow})
    assert not query.holds({**line, **quick})


def test_the_others_find_what_they_are_for(run: GatewayRun) -> None:
    found = {
        name: [one["message"] for one in documents(run) if parse(QUERIES[name]).holds(one)]
        for name in ("nexus-chat", "nexus-configuration", "nexus-process", "nexus-request-trace")
    }
    assert found["nexus-chat"] == ["request"] * 11
    assert found["nexus-configuration"][0] == "started"
    assert "stopped" in found["nexus-process"]
    assert "request" not in found["nexus-process"]
    assert found["nexus-request-trace"] == []
    for field, template_ in {"request_id": "nexus-request-trace", "trace_id": "nexus-trace"}.items():
        one = next(one for one in documents(run) if one.get("request_id") == "order-4711")
        asked = parse(QUERIES[template_].replace("REPLACE-ME", one[field]))
        assert [found for found in documents(run) if asked.holds(found)] == [one]


@pytest.mark.parametrize(
    ("query", "document", "holds"),
    [
        ("status >= 500", {"status": 500}, True),
        ("status >= 500", {"status": 499}, False),
        ("duration_ms >= 2000", {"duration_ms": 2000.5}, True),
        ("code: (upstream_failed or upstream_timeout)", {"code": "upstream_timeout"}, True),
        ("code: upstream_*", {"code": "upstream_timeout"}, True),
        ("code: upstream_*", {"code": "rate_limited"}, False),
        ("fallback_model: *", {"fallback_model": None}, False),
        ("fallback_model: *", {}, False),
        ("not message: (request or shadow)", {"message": "shadow"}, False),
        ("not message: (request or shadow)", {"message": "stopped"}, True),
        ('more.endpoint: "http://a:1"', {"more": {"endpoint": "http://a:1"}}, True),
        ("primary.status: 200", {"primary": {"status": "200"}}, True),
        ("stream: true and (status: 200 or status: 499)", {"stream": True, "status": 499}, True),
        ("routes: chat", {"routes": ["code", "chat"]}, True),
    ],
)
def test_a_query_holds_of_what_kibana_says_it_does(query: str, document: dict[str, Any], holds: bool) -> None:
    assert parse(query).holds(document) is holds


@pytest.mark.parametrize(
    "query",
    ["", "status >=", "status: ", "(status: 1", "status 500", "and status: 1", "a: 1 b: 2", 'a: "x', "a: {b: 1}"],
)
def test_what_is_no_kql_is_refused(query: str) -> None:
    with pytest.raises(Unreadable):
        parse(query)


def documents(run: GatewayRun) -> list[dict[str, Any]]:
    collect = Topology("collect.yaml")
    return [event for line in run.output for _, event in collect.flow("gateway_containers", {"message": line})]


def test_the_lines_that_grafana_links_to_are_ones_that_a_gateway_writes() -> None:
    boards = [path.read_text() for path in (ROOT / "ops" / "grafana" / "dashboards").glob("*.json")]
    told = {one for text in boards for one in re.findall(r"language:kuery,query:'([^']+)'", text.replace('\\"', '"'))}
    source = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    written = {"request", *re.findall(r'(?:_tell|event_line)\(\s*"([^"]+)"', source)}
    for query in (unquote(one) for one in told):
        assert [field for field in parse(query).fields if not is_field(field)] == [], query
        assert set(re.findall(r'message:"?([^"]+?)(?:"| and |$)', query)) <= written, query
    assert len(told) > 10


def test_what_grafana_links_to_is_there() -> None:
    boards = [path.read_text() for path in (ROOT / "ops" / "grafana" / "dashboards").glob("*.json")]
    dashboards = {name for text in boards for name in re.findall(r"/app/dashboards#/view/([\w-]+)", text)}
    views = {name for text in boards for name in re.findall(r"dataViewId:'([\w-]+)'", text)}
    queries = {query for text in boards for query in re.findall(r"query:\(language:kuery,query:'(.*?)'\)", text)}
    assert dashboards
    assert dashboards <= of("dashboard").keys()
    assert views
    assert views <= of("index-pattern").keys()
    asked = [parse(re.sub(r"\$\{[^}]*\}", "x", query.replace("%20", " ").replace('\\"', '"'))) for query in queries]
    assert asked
    assert {field for query in asked for field in query.fields if not is_field(field)} == set()
