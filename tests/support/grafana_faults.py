"""What is wrong with a dashboard, by Grafana's own types and by what people would stumble over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

Document = dict[str, Any]
BUILT_IN = re.compile(r"^(__from|__to|__rate_interval|__field|__range)\b")
VARIABLE = re.compile(r"\$\{(\w+)(?:[.:][^}]*)?\}|\$(\w+)")
COLUMNS = 24
OURS = {"type": "prometheus", "uid": "prometheus"}


def faults(document: Document) -> list[str]:
    """In plain words; empty where it is well."""
    return [*_of_its_types(document), *_of_its_panels(document), *_of_its_variables(document), *_of_sources(document)]


def targets(document: Document) -> Iterator[tuple[str, str]]:
    """(panel's title, PromQL) of every query."""
    for panel in document["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def links(document: Document) -> Iterator[tuple[str, str]]:
    """(title, URL) of every link that leads out of Grafana."""
    for panel in document["panels"]:
        for link in panel["fieldConfig"]["defaults"].get("links", []):
            yield link["title"], link["url"]
    for link in document["links"]:
        if link["type"] == "link":
            yield link["title"], link["url"]


def filled(text: str, values: Mapping[str, str]) -> str:
    """With Grafana's variables filled in. Raises KeyError for one that `values` lacks."""
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def _of_its_types(document: Document) -> Iterator[str]:
    """What Grafana's types do not take is lost on the way through them."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    try:
        through = json.loads(json.dumps(Dashboard.from_json(document), cls=JSONEncoder))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        yield f"Grafana's types refuse it: {error}"
        return
    if through != document:
        yield f"Grafana's types change it at {first_difference(document, through)}"


def _of_its_panels(document: Document) -> Iterator[str]:
    panels = document["panels"]
    for one, other in combinations(panels, 2):
        if one["id"] == other["id"]:
            yield f"{one['title']} and {other['title']} have the id {one['id']}"
        if one["title"] == other["title"]:
            yield f"two panels are called {one['title']}"
        if _overlap(one["gridPos"], other["gridPos"]):
            yield f"{one['title']} lies over {other['title']}"
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS or min(place.values()) < 0:
            yield f"{panel['title']} lies outside the grid"
        if not panel.get("targets") or not panel.get("description"):
            yield f"{panel['title']} asks for nothing, or does not say what it shows"
        letters = [target["refId"] for target in panel.get("targets", [])]
        if len({*letters}) < len(letters):
            yield f"{panel['title']} has two queries of one letter"


def _of_its_variables(document: Document) -> Iterator[str]:
    names = [variable["name"] for variable in document["templating"]["list"]]
    if len({*names}) < len(names):
        yield "two variables have one name"
    used = set(_used(document))
    yield from (f"nobody knows ${name}" for name in sorted(used - {*names}) if not BUILT_IN.match(name))
    yield from (f"nobody uses ${name}" for name in sorted({*names} - used))


def _of_sources(document: Document) -> Iterator[str]:
    """Panels, queries and variables name the one datasource that is provisioned."""
    places = [*document["panels"], *(target for panel in document["panels"] for target in panel.get("targets", []))]
    places += [variable for variable in document["templating"]["list"] if variable["type"] == "query"]
    yield from (f"another datasource: {place.get('datasource')}" for place in places if place.get("datasource") != OURS)


def _used(document: Document) -> Iterator[str]:
    """Names of variables, wherever Grafana fills them in: besides in what people read of a panel."""
    for value in _texts({key: value for key, value in document.items() if key != "description"}):
        yield from (found[1] or found[2] for found in VARIABLE.finditer(value) if value != "$__all")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    apart = (
        one["x"] + one["w"] <= other["x"]
        or other["x"] + other["w"] <= one["x"]
        or one["y"] + one["h"] <= other["y"]
        or other["y"] + other["h"] <= one["y"]
    )
    return not apart


def first_difference(one: Any, other: Any, at: str = "") -> str:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key) or (key in one) != (key in other):
                return first_difference(one.get(key), other.get(key), f"{at}.{key}")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            if pair[0] != pair[1]:
                return first_difference(*pair, f"{at}[{number}]")
    return f"{at}: {one!r} becomes {other!r}"
