"""Peers of the settings as NetworkPolicies write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nexus_release.manifests.objects import Object
from nexus_release.pod_settings import Peer

NAMESPACE = "kubernetes.io/metadata.name"  # a label that every namespace has by itself
NAMES: Object = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {NAMESPACE: "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
"""The rule by which a pod may have names resolved."""


def rules(peers: Iterable[Peer]) -> list[Object]:
    """A rule of egress for each."""
    return [{"to": [_peer(peer)], "ports": tcp(*peer.ports)} for peer in peers]


def tcp(*ports: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def pods_of(namespace: str, pods: Mapping[str, str]) -> Object:
    """Pods of another namespace; all of them, where no label is named."""
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE: namespace}},
        "podSelector": {"matchLabels": dict(pods)} if pods else {},
    }


def _peer(peer: Peer) -> Object:
    if peer.cidr is not None:
        return {"ipBlock": {"cidr": peer.cidr}}
    assert peer.namespace is not None  # noqa: S101 - narrows for mypy; `Peer` holds it
    return pods_of(peer.namespace, peer.pods)
