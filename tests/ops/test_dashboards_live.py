"""Every query of every dashboard, asked of a real Prometheus that scrapes a real gateway and real workers under load.

A query counts as answered once it has given a figure above 0: an empty answer, NaN and the 0 that a misspelt label
gives are all the same to who looks. What may stay 0, and what nothing here could tell, is listed, each with its reason.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from ..support.busy_stack import BROKEN, NAMESPACE, busy_stack
from ..support.gateway import until
from ..support.grafana_faults import filled, targets
from ..support.prometheus_server import Prometheus
from ..support.repository import ROOT

pytestmark = pytest.mark.services
FOLDER = ROOT / "ops" / "grafana" / "dashboards"
PATIENCE = 90.0
WINDOW = {"__rate_interval": "1m"}
SCRAPED = (
    "count(count by (route) (gateway_release_requests_total)) == 5",
    f'count(gateway_release_requests_total{{release="{BROKEN}",status=~"5.."}}) > 0',
    f'count(gateway_drawn_requests_total{{release="{BROKEN}"}}) > 0',
    "count(vllm:num_requests_running) == 2",
    "count(nexus:slo_availability_budget:left) == 5",
)
"""Holds once all that people may choose is there."""
QUIET = {
    "Configuration refused": "the gateway takes its files",
    "First byte: errors": "every answer begins in time",
    "Lines lost": "every line finds its reader",
    "Waiting": "the engines have room",
}
"""Panel -> why it may show 0."""
TOLD_ELSEWHERE = {
    "Put back": "the mock engine has memory for all; vLLM tells it",
    "GPU": "DCGM's exporter needs a GPU",
    "GPU memory": "DCGM's exporter needs a GPU",
}
"""Panel -> why nothing is told of it here."""


@dataclass(frozen=True)
class Asked:
    board: str
    panel: str
    query: str
    """With every variable filled in."""

    def answered(self, prometheus: Prometheus) -> bool:
        """NaN, of a quotient or of a histogram without traffic, is no answer."""
        told = [value for value in prometheus.query(self.query) if not math.isnan(value)]
        return any(told) or (bool(told) and self.panel in QUIET)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with busy_stack(tmp_path_factory.mktemp("busy")) as running:
        for count in SCRAPED:
            until(lambda: running.query(count), f"it is scraped and recorded: {count}", PATIENCE)  # noqa: B023 - at once
        yield running


def boards() -> dict[str, Any]:
    return {
        path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "ops/grafana/dashboards").glob("*.json"))
    }


def asked(prometheus: Prometheus) -> list[Asked]:
    """Every query of every dashboard."""
    return [
        Asked(name, panel, filled(query, values))
        for name, board in boards().items()
        for values in [chosen(board, prometheus)]
        for panel, query in targets(board)
    ]


def chosen(board: Mapping[str, Any], prometheus: Prometheus) -> dict[str, str]:
    """The board's variables with all values chosen, as Grafana asks for them and fills them in."""
    values = dict(WINDOW)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            words = re.fullmatch(r"label_values\((.+), (\w+)\)", filled(variable["query"], values))
            assert words, variable["query"]
            found = prometheus.label_values(words[1], words[2])
            assert found, f"{board['title']}: nothing to choose from for ${variable['name']}"
            values[variable["name"]] = f"({'|'.join(map(escaped, found))})"
    return values


def escaped(value: str) -> str:
    """As Grafana's Prometheus datasource does it: for a regular expression within a string of PromQL."""
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\\\g<0>", value)


def unanswered(prometheus: Prometheus, wanted: Iterable[Asked], seconds: float) -> list[Asked]:
    """Those that are still without an answer after that time; each is asked until it has one."""
    waiting = list(wanted)

    def all_answered() -> bool:
        waiting[:] = [one for one in waiting if not one.answered(prometheus)]
        return not waiting

    with suppress(AssertionError):
        until(all_answered, "every panel shows something", seconds)
    return waiting


def test_no_panel_is_empty_under_load(prometheus: Prometheus) -> None:
    wanted = [one for one in asked(prometheus) if one.panel not in TOLD_ELSEWHERE]
    assert [(one.board, one.panel) for one in unanswered(prometheus, wanted, PATIENCE)] == []


def test_what_is_exempt_is_a_panel_and_would_be_empty(prometheus: Prometheus) -> None:
    every = asked(prometheus)
    assert {*QUIET, *TOLD_ELSEWHERE} <= {one.panel for one in every}
    exempt = [one for one in every if one.panel in TOLD_ELSEWHERE]
    assert [one for one in exempt if prometheus.query(one.query)] == []


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(gateway_request_total[1m]))",
        f'sum(rate(gateway_requests_total{{namespace="{NAMESPACE}s"}}[1m]))',
        "sum(rate(gateway_log_lines_dropped_total[1m]))",
        "histogram_quantile(0.95, sum by (le) (rate(gateway_request_latency_seconds_bucket{path='none'}[1m])))",
    ],
    ids=["a family that is not there", "another label", "0 alone", "no observation"],
)
def test_a_panel_that_would_be_empty_is_found(prometheus: Prometheus, query: str) -> None:
    empty = Asked("made up", "made up", query)
    assert unanswered(prometheus, [empty], 1) == [empty]


def test_what_is_no_promql_is_an_error(prometheus: Prometheus) -> None:
    with pytest.raises(AssertionError, match="parse error"):
        Asked("made up", "made up", "sum(rate(gateway_requests_total[1m])").answered(prometheus)


def test_the_rules_that_grafana_holds_have_figures_to_judge(prometheus: Prometheus) -> None:
    """Each, 0 too, since well is what it is: that nothing was dropped is a figure, and no figure is a fault."""
    document = yaml.safe_load((ROOT / "ops/grafana/provisioning/alerting/alert-rules.yml").read_text())
    rules = {rule["title"]: rule["data"][0]["model"]["expr"] for group in document["groups"] for rule in group["rules"]}
    assert {title: len(prometheus.query(query)) for title, query in rules.items()} == dict.fromkeys(rules, 1)
