"""What a dashboard is here, before it is written down for Grafana (`grafana.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_release.manifests.gateway_pods import GATEWAY as JOB

ENVIRONMENT = 'namespace=~"$environment"'
"""Series of the environments that are chosen."""
GATEWAY = f'job="{JOB}",{ENVIRONMENT}'
ROUTE = f'{GATEWAY},route=~"$route"'
RELEASE = f'{ROUTE},release=~"$release"'
WINDOW = "$__rate_interval"
"""Grafana's: at least four scrapes, and no less than a pixel of the picture."""


@dataclass(frozen=True)
class Query:
    expression: str
    """PromQL with Grafana's variables."""
    legend: str
    """`{{label}}` is the series' own."""


@dataclass(frozen=True)
class Link:
    title: str
    url: str
    """With Grafana's variables; `${__field.labels.x}` is the label of the series that was clicked on."""


@dataclass(frozen=True)
class Panel:
    title: str
    meaning: str
    """In a sentence or two, shown beside the title."""
    queries: tuple[Query, ...]
    unit: str
    """Grafana's id."""
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Variable:
    name: str
    label: str
    values: str
    """Query of the Prometheus datasource; all of them are chosen at first."""


@dataclass(frozen=True)
class Board:
    name: str
    """Of its file, and of its uid."""
    title: str
    panels: tuple[Panel, ...]
    """Three stand in a row."""
    variables: tuple[Variable, ...] = ()
    """Besides `environment`, which each dashboard has."""
    links: tuple[Link, ...] = ()
    """Above the panels, besides those to the other dashboards."""

    @property
    def every_link(self) -> tuple[Link, ...]:
        return (*self.links, *(link for panel in self.panels for link in panel.links))


@dataclass(frozen=True)
class Scope:
    """Whose series a dashboard shows, and where it leads to."""

    environment: str | None
    """Folder of `gitops/`; None for a dashboard in which people choose."""
    namespace: str | None
    """Its series'; None likewise."""
    currency: str
    history: str
    """URL of the commits that touched `{path}`."""
    kibana: str
    """Base URL."""


def quantile(share: float, family: str, selector: str, by: str = "") -> str:
    """PromQL of a quantile of a histogram, for each value of the labels `by`."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({family}_bucket{{{selector}}}[{WINDOW}])))"


def per_second(family: str, selector: str, by: str = "") -> str:
    """PromQL of a counter's rate, for each value of the labels `by`."""
    return f"sum{f' by ({by})' if by else ''} (rate({family}{{{selector}}}[{WINDOW}]))"


def share(part: str, whole: str) -> str:
    """PromQL of `part / whole` with 0 where nothing of the whole is the part, which has no series then."""
    return f"({part} or {whole} * 0) / {whole}"


ROUTES = Variable("route", "Route", f"label_values(gateway_release_requests_total{{{GATEWAY}}}, route)")
RELEASES = Variable("release", "Release", f"label_values(gateway_release_requests_total{{{ROUTE}}}, release)")
