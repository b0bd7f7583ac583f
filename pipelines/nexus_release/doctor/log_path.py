"""Whether a log line finds its way: Kafka's topics, Elasticsearch's templates and Kibana's data views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from nexus_release.doctor.asking import Pages, Services, shown
from nexus_release.doctor.finding import Finding, fail, ok, warn

INDICES = ("gateway-logs", "gateway-audit", "gateway-unparsed")
"""Topics, index templates and data views bear these names."""
_BOOTSTRAP = "run ops/logging/observability_bootstrap"


def kafka(services: Services, servers: str) -> Iterator[Finding]:
    found = services.topics(servers)
    if found is None:
        mend = "pip install confluent-kafka, and look again"
        yield warn("Kafka", f"{servers} takes connections; its topics were not looked at", mend)
    elif missing := _missing(found):
        yield fail("Kafka", f"{servers} lacks the topics {missing}", "make them as ops/kafka/topics.txt has them")
    else:
        yield ok("Kafka", f"{servers} has {', '.join(INDICES)}")


def elasticsearch(pages: Pages, url: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    health = pages.get(url, "/_cluster/health", headers)
    if health.status in (401, 403):
        yield fail("Elasticsearch", f"{shown(url)}: {health.told}", "give ELASTIC_PASSWORD, of the user elastic")
        return
    state = health.get("status")
    if state not in ("green", "yellow"):
        mend = "start it, or look at ELASTICSEARCH_URL; red: GET _cluster/allocation/explain says which shards and why"
        yield fail("Elasticsearch", f"{shown(url)}/_cluster/health: {state or health.told}", mend)
        return
    templates = (name for name in INDICES if pages.get(url, f"/_index_template/{name}", headers).status == 200)
    if missing := _missing({*templates}):
        said = f"{shown(url)} is {state} and lacks the index templates {missing}: lines would be kept as anything"
        yield fail("Elasticsearch", said, _BOOTSTRAP)
    else:
        yield ok("Elasticsearch", f"{shown(url)} is {state}, and has every index template")


def kibana(pages: Pages, url: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    status = pages.get(url, "/api/status", headers)
    overall = (status.get("status") or {}).get("overall", {}).get("level") if status.status == 200 else None
    if overall != "available":
        mend = "start it, or look at KIBANA_URL; its log says what it waits for, mostly Elasticsearch"
        yield fail("Kibana", f"{shown(url)}/api/status: {overall or status.told}", mend)
        return
    views = (name for name in INDICES if pages.get(url, f"/api/data_views/data_view/{name}", headers).status == 200)
    if missing := _missing({*views}):
        yield fail("Kibana", f"{shown(url)} lacks the data views {missing}", _BOOTSTRAP)
    else:
        yield ok("Kibana", f"{shown(url)} is available, and has every data view")


def _missing(found: Set[str]) -> str:
    return ", ".join(name for name in INDICES if name not in found)
