"""What Grafana is given at its start: by the documented keys alone, and whole among themselves."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nexus_release.dashboards.grafana import DATASOURCE

from ..support.grafana_faults import first_difference
from ..support.grafana_provisioning import FILES, Groups, Policies
from ..support.repository import ROOT

FOLDER = ROOT / "ops" / "grafana" / "provisioning"
TOLD = {
    "NEXUS_PROMETHEUS_URL",
    "NEXUS_DASHBOARDS",
    "NEXUS_ALERTMANAGER_URL",
    "NEXUS_ALERT_WEBHOOK",
}
"""What Grafana's environment must hold."""
RULES = "alerting/alert-rules.yml"


@cache
def texts() -> dict[str, str]:
    return {path.relative_to(FOLDER).as_posix(): path.read_text() for path in sorted(FOLDER.rglob("*.yml"))}


def read(name: str) -> Any:
    return yaml.safe_load(texts()[name])


def faults(files: dict[str, Any]) -> list[str]:
    """What is wrong with all of them together."""
    found = []
    for name, kind in FILES.items():
        try:
            kind.model_validate(files[name])
        except ValidationError as error:
            found += [f"{name}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return found or [*_dangling(files), *_of_rules(files[RULES])]


def _dangling(files: dict[str, Any]) -> list[str]:
    points = {point["name"] for point in files["alerting/contact-points.yml"]["contactPoints"]}
    (tree,) = files["alerting/notification-policies.yml"]["policies"]
    named = [tree["receiver"], *(route["receiver"] for route in tree["routes"])]
    return [f"no contact point is called {name}" for name in named if name not in points]


def _of_rules(document: Any) -> list[str]:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.alerting import Rule

    register_default_plugins()
    found, uids = [], []
    for group in document["groups"]:
        for rule in group["rules"]:
            whole = {**rule, "folderUID": "nexus", "orgID": group["orgId"], "ruleGroup": group["name"]}
            through = json.loads(json.dumps(Rule.from_json(whole), cls=JSONEncoder))
            if through != whole:
                found.append(f"{rule['title']}: Grafana's types change it at {first_difference(whole, through)}")
            letters = [query["refId"] for query in rule["data"]]
            if rule["condition"] not in letters:
                found.append(f"{rule['title']}: no query is called {rule['condition']}")
            found += [
                f"{rule['title']}: unknown {query['datasourceUid']}"
                for query in rule["data"]
                if query["datasourceUid"] not in (DATASOURCE, "__expr__")
            ]
            uids.append(rule["uid"])
    return [*found, *(f"two rules have the uid {uid}" for uid in {*uids} if uids.count(uid) > 1)]


def committed() -> dict[str, Any]:
    return {name: read(name) for name in FILES}


def test_every_file_has_documented_keys_alone_and_what_it_names_is_there() -> None:
    assert texts().keys() == FILES.keys()
    assert faults(committed()) == []


def planted(name: str, place: Callable[[Any], Any], key: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def plant(files: dict[str, Any]) -> None:
        place(files[name])[key] = value

    return plant


def rule(document: Any) -> Any:
    return document["groups"][0]["rules"][0]


PLANTED = {
    "a misspelt key": (
        planted("datasources/datasource.yml", lambda body: body["datasources"][0], "isDefalt", True),
        "Extra inputs",
    ),
    "a text for truth": (
        planted("dashboards/dashboards.yml", lambda body: body["providers"][0], "allowUiUpdates", "no"),
        "allowUiUpdates",
    ),
    "a receiver of another kind": (
        planted("alerting/contact-points.yml", lambda body: body["contactPoints"][0]["receivers"][0], "type", "slak"),
        "slak",
    ),
    "a contact point that is not there": (
        planted("alerting/notification-policies.yml", lambda body: body["policies"][0], "receiver", "nobody"),
        "no contact point is called nobody",
    ),
    "a condition that is not there": (planted(RULES, rule, "condition", "over"), "no query is called over"),
    "another datasource": (
        planted(RULES, lambda body: rule(body)["data"][0], "datasourceUid", "other"),
        "unknown other",
    ),
    "a uid twice": (planted(RULES, rule, "uid", "nexus-rules-failing"), "two rules have the uid"),
    "a field of a query that Grafana has not": (
        planted(RULES, lambda body: rule(body)["data"][0]["model"], "expresion", "up"),
        "change it",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    plant, told = PLANTED[fault]
    files = copy.deepcopy(committed())
    plant(files)
    assert any(told in line for line in faults(files)), faults(files)


def test_the_datasource_has_the_uid_that_everything_names() -> None:
    (source,) = read("datasources/datasource.yml")["datasources"]
    assert source["uid"] == DATASOURCE


def test_no_secret_stands_in_a_file_and_each_variable_is_told_of() -> None:
    whole = "\n".join(texts().values())
    assert set(re.findall(r"\$\{(\w+)\}", whole)) == TOLD
    assert "authorization_credentials: $__file{/run/secrets/" in whole
    bare = re.sub(r"\$\{\w+\}|\$__file\{[^}]+\}|\$__rate_interval", "", re.sub(r"#.*", "", whole))
    assert "$" not in bare, "Grafana takes every other dollar for a variable, and fills in nothing"
    page = (ROOT / "docs" / "how-to" / "read-the-dashboards.md").read_text()
    assert {name for name in TOLD if name not in page} == set()


def test_what_is_wrong_with_the_alerting_is_not_told_by_it() -> None:
    (group,) = Groups.model_validate(read(RULES)).groups
    (tree,) = Policies.model_validate(read("alerting/notification-policies.yml")).policies
    (route,) = tree.routes
    ((label, how, value),) = route.object_matchers
    assert how == "="
    assert {one.labels.get(label) for one in group.rules} == {value}
    points = {point["name"]: point for point in read("alerting/contact-points.yml")["contactPoints"]}
    assert {one["type"] for one in points[route.receiver]["receivers"]} == {"webhook"}
