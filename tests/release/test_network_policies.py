"""Who may reach whom in an environment, computed from the rendered policies as a network would."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_release.config import Settings
from nexus_release.manifests.network import ASKS_GATEWAY, network

from ..support.cluster_rules import admitted, peer_name, reached
from ..support.cluster_settings import CHOICES, settings_of

GATEWAY = {"app.kubernetes.io/name": "nexus-gateway", "app.kubernetes.io/part-of": "nexus"}
REDIS = {"app.kubernetes.io/name": "nexus-redis", "app.kubernetes.io/part-of": "nexus"}
ENGINE = {"serving.kserve.io/inferenceservice": "chat-1a2b3c4d", "app.kubernetes.io/part-of": "nexus"}
VERIFY_JOB = {"app.kubernetes.io/part-of": "nexus", "nexus.internal/model": "chat"}
NAMES = ("kube-system [('k8s-app', 'kube-dns')]", "UDP", 53)


def policies(settings: Settings) -> list[dict[str, Any]]:
    return [*network(settings).values()]


def peers(settings: Settings, labels: dict[str, str]) -> set[str]:
    """Who may open a connection to pods with these labels: namespaces, addresses, or `own` and their labels."""
    rules = admitted(policies(settings), labels)
    return {_peer(peer) for rule in rules for peer in rule["from"]}


def _peer(peer: dict[str, Any]) -> str:
    if peer.keys() == {"podSelector"}:
        return f"own {sorted(peer['podSelector'].get('matchLabels', {'any engine': ''}).items())}"
    return peer_name(peer)


def called(settings: Settings, labels: dict[str, str]) -> set[tuple[str, int]]:
    """Whom such pods may open a connection to, besides whoever resolves names."""
    chosen = [
        rule
        for policy in policies(settings)
        if _for(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", [])
    ]
    return {(_peer(peer), port["port"]) for rule in chosen for peer in rule["to"] for port in rule["ports"]} - {
        (NAMES[0], 53)
    }


def _for(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(one["key"] in labels for one in selector.get("matchExpressions", []))


OWN_GATEWAY = "own [('app.kubernetes.io/name', 'nexus-gateway')]"
OWN_REDIS = "own [('app.kubernetes.io/name', 'nexus-redis')]"
OWN_JOBS = f"own {sorted(ASKS_GATEWAY.items())}"
ENGINES = "own [('any engine', '')]"


def test_a_pod_that_no_policy_names_reaches_nobody_and_nobody_it() -> None:
    settings = settings_of("prod")
    assert reached(policies(settings), VERIFY_JOB) == set()
    assert admitted(policies(settings), VERIFY_JOB) == []


def test_the_gateway_reaches_engines_and_redis_and_no_more() -> None:
    assert called(settings_of("prod"), GATEWAY) == {(ENGINES, 8080), (OWN_REDIS, 6379)}
    assert called(settings_of("prod", CHOICES["nobody outside"]), GATEWAY) == {(ENGINES, 8080)}
    elsewhere = called(settings_of("prod", CHOICES["everything elsewhere"]), GATEWAY)
    assert elsewhere == {(ENGINES, 8080), ("198.51.100.7/32", 6379), ("0.0.0.0/0", 443)}


@pytest.mark.parametrize(
    ("choice", "outside"),
    [
        ("nobody outside", set()),
        ("ingress with a certificate", {"ingress-nginx []"}),
        ("gateway api", {"gateways []"}),
        ("load balancer", {"192.0.2.0/24"}),
    ],
)
def test_the_gateway_is_reached_by_its_door_by_jobs_of_ours_and_by_whoever_measures(
    choice: str, outside: set[str]
) -> None:
    assert peers(settings_of("prod", CHOICES[choice]), GATEWAY) == {OWN_JOBS, "monitoring []", *outside}


def test_callers_of_other_namespaces_are_let_in_by_name() -> None:
    found = peers(settings_of("prod", CHOICES["everything elsewhere"]), GATEWAY)
    assert "shop [('app', 'basket')]" in found


def test_engines_are_reached_by_the_gateway_alone_and_measured() -> None:
    settings = settings_of("prod")
    assert peers(settings, ENGINE) == {OWN_GATEWAY, "monitoring []"}
    assert called(settings, ENGINE) == set()
    assert called(settings_of("prod", CHOICES["everything elsewhere"]), ENGINE) == {("0.0.0.0/0", 443)}


def test_redis_is_reached_by_the_gateway_alone_and_reaches_nobody() -> None:
    settings = settings_of("prod")
    assert peers(settings, REDIS) == {OWN_GATEWAY}
    assert called(settings, REDIS) == set()


def test_jobs_of_ours_reach_the_gateway_alone() -> None:
    assert called(settings_of("prod"), {**ASKS_GATEWAY}) == {(OWN_GATEWAY, 8000)}


def test_every_pod_that_reaches_anybody_may_have_names_resolved() -> None:
    for labels in (GATEWAY, ENGINE, ASKS_GATEWAY):
        rules = [
            rule
            for policy in policies(settings_of("prod"))
            if _for(policy["spec"]["podSelector"], labels)
            for rule in policy["spec"].get("egress", [])
        ]
        assert any(peer_name(peer) == NAMES[0] for rule in rules for peer in rule["to"] if "namespaceSelector" in peer)
