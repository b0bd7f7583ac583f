"""Prints what Kibana holds for the gateway's logs, one object a line, as Kibana's import takes it.

    python ops/kibana/saved_objects.py > ops/kibana/saved_objects.ndjson

Data views, a saved search and a saved query for each question of queries.py, and the dashboard. Their types are those
of Kibana 8.8; a later one migrates them when it takes them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from queries import QUESTIONS, Question

DATA_VIEW = "gateway-logs"
DASHBOARD = "gateway-logs"
TIME = "timestamp"
_SEARCH_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"
_WIDTH, _HEIGHT = 24, 15
"""Of a panel, on Kibana's grid of 48 columns."""

Object = dict[str, Any]


def main() -> int:
    for one in objects():
        print(json.dumps(one, sort_keys=True))
    return 0


def objects() -> list[Object]:
    parts = [
        _data_view(DATA_VIEW, "gateway-logs-*", "Gateway logs"),
        _data_view("gateway-audit", "gateway-audit-*", "Gateway audit"),
        _data_view("gateway-unparsed", "gateway-unparsed-*", "Lines that nobody could read"),
        *(_search(question) for question in QUESTIONS),
        *(_query(question) for question in QUESTIONS),
    ]
    panels = [question for question in QUESTIONS if question.panel]
    return [*parts, _dashboard(panels, digest([*parts, _dashboard(panels, "")]))]


def digest(parts: list[Object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _data_view(name: str, indices: str, title: str) -> Object:
    attributes = {"title": indices, "name": title, "timeFieldName": TIME, "allowNoIndex": True}
    return _object("index-pattern", name, "8.0.0", attributes, [])


def _search(question: Question) -> Object:
    source = {"query": _kql(question.kql), "filter": [], "indexRefName": _SEARCH_INDEX}
    attributes = {
        "title": f"Gateway: {question.title}",
        "description": question.answers,
        "columns": list(question.columns),
        "sort": [[TIME, "desc"]],
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "timeRestore": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(source)},
    }
    references = [{"name": _SEARCH_INDEX, "type": "index-pattern", "id": DATA_VIEW}]
    return _object("search", f"nexus-{question.name}", "8.0.0", attributes, references)


def _query(question: Question) -> Object:
    attributes = {
        "title": f"Gateway: {question.title}",
        "description": question.answers,
        "query": _kql(question.kql),
        "filters": [],
    }
    return _object("query", f"nexus-{question.name}", "8.0.0", attributes, [])


def _dashboard(panels: list[Question], made_from: str) -> Object:
    """`made_from` stands in the description: by it the bootstrap knows whether Kibana has these very objects."""
    attributes = {
        "title": "Nexus Gateway logs",
        "description": f"Failed, slow, limited and chat requests. Made from ops/kibana; digest {made_from}",
        "panelsJSON": _text([_panel(place, question) for place, question in enumerate(panels)]),
        "optionsJSON": _text({"useMargins": True, "syncColors": False, "hidePanelTitles": False}),
        "timeRestore": True,
        "timeFrom": "now-1h",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 30000},
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text({"query": _kql(""), "filter": []})},
    }
    references = [
        {"name": f"{question.name}:panel_{question.name}", "type": "search", "id": f"nexus-{question.name}"}
        for question in panels
    ]
    return _object("dashboard", DASHBOARD, "8.7.0", attributes, references)


def _panel(place: int, question: Question) -> Object:
    corner = {"x": place % 2 * _WIDTH, "y": place // 2 * _HEIGHT}
    return {
        "version": "8.8.0",
        "type": "search",
        "title": question.title,
        "panelIndex": question.name,
        "panelRefName": f"panel_{question.name}",
        "gridData": {**corner, "w": _WIDTH, "h": _HEIGHT, "i": question.name},
        "embeddableConfig": {"enhancements": {}},
    }


def _object(kind: str, name: str, version: str, attributes: Object, references: list[Object]) -> Object:
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": references,
        "managed": False,
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": version,
    }


def _kql(text: str) -> Object:
    return {"query": text, "language": "kuery"}


def _text(value: Any) -> str:
    """JSON within JSON, as Kibana keeps it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    sys.exit(main())
