"""Every committed dashboard opens by Grafana's own types, and has nothing that people would stumble over."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_gateway.telemetry.families import page
from nexus_release.config import load_settings
from nexus_release.dashboards.boards import BOARDS
from nexus_release.dashboards.links import DATA_VIEW
from nexus_release.errors import BadInput

from ..support.cluster_settings import settings_of
from ..support.grafana_faults import Document, faults, filled, links, targets
from ..support.repository import ROOT

FOLDER = ROOT / "ops" / "grafana" / "dashboards"
IN_CLUSTERS = ("dev", "prod", "staging")
SEEDS_NINE = [
    "Requests per second",
    "5xx error rate",
    "Request latency p95",
    "Upstream latency p95",
    "Upstream errors",
    "Rate limited requests",
    "Circuit open",
    "Fallback usage",
    "In-flight requests",
]


@cache
def chosen_by_people() -> dict[str, Document]:
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


@cache
def of_an_environment(name: str) -> dict[str, Document]:
    """Those in its ConfigMaps."""
    found: dict[str, Document] = {}
    for path in sorted((ROOT / "gitops" / name / "dashboards").glob("nexus-*.yaml")):
        body = yaml.safe_load(path.read_text())
        assert body["metadata"]["labels"][settings_of(name).gateway.watching.dashboard_label] == "1"
        found |= {file: json.loads(text) for file, text in body["data"].items()}
    return found


def every() -> dict[str, Document]:
    own = {f"{env}/{file}": board for env in IN_CLUSTERS for file, board in of_an_environment(env).items()}
    return {**chosen_by_people(), **own}


def test_every_dashboard_is_written_for_people_and_for_each_environment() -> None:
    files = {f"{name}.json" for name in BOARDS}
    assert chosen_by_people().keys() == files
    for name in IN_CLUSTERS:
        assert of_an_environment(name).keys() == files


def test_every_dashboard_is_well() -> None:
    found = {name: faults(document) for name, document in every().items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def planted(place: Callable[[Document], Any], key: str, value: Any) -> Callable[[Document], None]:
    def plant(document: Document) -> None:
        place(document)[key] = value

    return plant


def first(document: Document) -> Any:
    return document["panels"][0]


def target(document: Document) -> Any:
    return first(document)["targets"][0]


PLANTED: dict[str, tuple[Callable[[Document], None], str]] = {
    "a field that Grafana has not": (planted(first, "titel", "x"), "change it at"),
    "another field of a query": (planted(target, "expression", "up"), "change it at"),
    "a panel's id twice": (planted(first, "id", 2), "have the id 2"),
    "a panel's name twice": (planted(first, "title", SEEDS_NINE[1]), "two panels"),
    "a panel over another": (planted(lambda board: first(board)["gridPos"], "w", 9), "lies over"),
    "a panel outside": (planted(lambda board: first(board)["gridPos"], "x", 17), "outside the grid"),
    "a variable that is not there": (planted(target, "expr", 'up{namespace=~"$enviroment"}'), "knows $enviroment"),
    "a variable for nobody": (
        lambda board: board["templating"]["list"].append({**board["templating"]["list"][0], "name": "spare"}),
        "nobody uses $spare",
    ),
    "another datasource": (planted(target, "datasource", {"type": "prometheus", "uid": "other"}), "another datasource"),
    "nothing said": (planted(first, "description", ""), "does not say"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    plant, told = PLANTED[fault]
    document = copy.deepcopy(chosen_by_people()["nexus-gateway.json"])
    plant(document)
    assert any(told in line for line in faults(document)), faults(document)


def test_the_first_nine_panels_of_nexus_gateway_have_the_names_that_everybody_knows() -> None:
    for name, document in every().items():
        if name.endswith("nexus-gateway.json"):
            assert document["title"].startswith("Nexus Gateway")
            assert [panel["title"] for panel in document["panels"]][:9] == SEEDS_NINE


def test_no_query_asks_for_a_family_that_the_gateway_has_not() -> None:
    known = set(re.findall(r"`(gateway_[a-z_]+)`", page()))
    asked = {name for board in every().values() for _, query in targets(board) for name in words(query)}
    assert asked <= known
    assert words("rate(gateway_request_total[5m])") - known == {"gateway_request_total"}


def words(query: str) -> set[str]:
    return {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bgateway_[a-z_]+", query)}


def test_an_environment_s_dashboards_show_its_own_series_and_are_nobody_else_s() -> None:
    uids = [document["uid"] for document in every().values()]
    assert len({*uids}) == len(uids)
    assert max(map(len, uids)) <= 40
    for name in IN_CLUSTERS:
        for document in of_an_environment(name).values():
            (own,) = (one for one in document["templating"]["list"] if one["name"] == "environment")
            assert (own["type"], own["query"]) == ("constant", load_settings(ROOT, name).namespace)


def test_links_lead_to_the_logs_of_what_was_clicked_on_and_to_its_commit() -> None:
    settings = load_settings(ROOT, "prod")
    values = {"kibana": settings.dashboards.kibana, "__from": "A", "__to": "B", "__field": "VALUE"}
    boards = of_an_environment("prod")
    led = {title: filled(url, values) for board in boards.values() for title, url in links(board)}
    when = "_g=(time:(from:'A',to:'B'))"
    assert led["Log dashboard"] == f"http://localhost:5601/app/dashboards#/view/gateway-logs?{when}"
    assert led["Log lines of the release"] == (
        f"http://localhost:5601/app/discover#/?{when}&_a=(dataSource:(dataViewId:'gateway-logs',type:dataView),"
        "query:(language:kuery,query:'release:\"VALUE\"'))"
    )
    history = "https://git.example.com/nexus/nexus/commits/main"
    assert led["Commit of the release"] == f"{history}/gitops/releases/VALUE/VALUE.json"
    (served,) = (panel for panel in boards["nexus-gateway.json"]["panels"] if panel["title"] == "Configuration served")
    assert served["fieldConfig"]["defaults"]["links"][0]["url"] == f"{history}/gitops/prod/gateway/routes.d"


def test_links_name_the_data_view_and_the_dashboard_that_kibana_is_given() -> None:
    lines = (ROOT / "ops" / "kibana" / "saved_objects.ndjson").read_text().splitlines()
    there = {(body["type"], body["id"]) for body in map(json.loads, lines) if "type" in body}
    assert {("index-pattern", DATA_VIEW), ("dashboard", DATA_VIEW)} <= there


def test_each_dashboard_leads_to_the_logs_or_is_about_money() -> None:
    without = {name for name, board in chosen_by_people().items() if not list(links(board))}
    assert without == {"nexus-costs.json"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("history", "https://git.example.com/nexus"),
        ("history", "https://git.example.com/${kibana}/{path}"),
        ("kibana", "http://localhost:5601/"),
        ("kibana", "localhost:5601"),
    ],
)
def test_an_address_that_no_link_could_be_made_of_is_refused(tmp_path: Path, field: str, value: str) -> None:
    for path in ("environments/base.yaml", "environments/prod/settings.yaml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    own = tmp_path / "environments/prod/settings.yaml"
    own.write_text(f"{own.read_text()}\ndashboards: {{{field}: '{value}'}}\n")
    with pytest.raises(BadInput, match=f"dashboards.{field}"):
        load_settings(tmp_path, "prod")


def test_rendering_loads_grafana_s_types_only_when_a_dashboard_is_written() -> None:
    program = "import sys, nexus_release.manifests.tree; print('grafana_foundation_sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
