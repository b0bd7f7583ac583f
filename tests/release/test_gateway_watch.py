"""Prometheus finds each pod of the gateway once, and is told of tenants."""

from __future__ import annotations

from typing import Any

from nexus_release.manifests.gateway_doors import gateway_doors
from nexus_release.manifests.gateway_watch import gateway_watch

from ..support.cluster_settings import settings_of

SETTINGS = settings_of("prod")


def test_each_pod_is_scraped_once() -> None:
    """Two Services have the gateway's name; the monitor chooses the one that gives each pod's address."""
    monitor: Any = gateway_watch(SETTINGS)["servicemonitor.yaml"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services: list[Any] = [body for body in gateway_doors(SETTINGS).values() if body["kind"] == "Service"]
    chosen = [body["metadata"]["name"] for body in services if wanted <= body["metadata"]["labels"].items()]
    assert chosen == ["nexus-gateway-replicas"]


def test_the_operator_s_labels_do_not_hide_those_of_breakers() -> None:
    monitor: Any = gateway_watch(SETTINGS)["servicemonitor.yaml"]
    assert [endpoint["honorLabels"] for endpoint in monitor["spec"]["endpoints"]] == [True]


def test_it_scrapes_with_a_key_that_tenants_are_named_to_and_without_one_where_none_is_given() -> None:
    monitor: Any = gateway_watch(SETTINGS)["servicemonitor.yaml"]
    (endpoint,) = monitor["spec"]["endpoints"]
    secrets = SETTINGS.gateway.secrets
    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": secrets.probe, "key": "NEXUS_GATEWAY_KEY"},
    }
    blind: Any = gateway_watch(settings_of("prod", {"gateway": {"watching": {"key": None}}}))["servicemonitor.yaml"]
    assert "authorization" not in blind["spec"]["endpoints"][0]
