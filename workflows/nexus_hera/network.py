"""Whom the pods of a release may open connections to. Nobody opens one to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexus_hera.commands import Command
from nexus_hera.containers import COMMAND
from nexus_release.manifests.objects import Object, labels
from nexus_release.manifests.peers import NAMES, rules
from nexus_release.pod_settings import Peer

_ANY_POD: Object = {}
_ANY_COMMAND: Object = {"matchExpressions": [{"key": COMMAND, "operator": "Exists"}]}


def network(commands: Iterable[Command], api_server: Sequence[Peer], namespace: str) -> dict[str, Object]:
    """By file: each command reaches names, the API server and what its effects name; nothing else reaches anything."""
    peers = {command.name: command.pod.egress for command in commands if command.pod.egress}
    return {
        "networkpolicy-nothing.yaml": _policy("nothing", namespace, _ANY_POD, []),
        "networkpolicy-release.yaml": _policy("release", namespace, _ANY_COMMAND, [NAMES, *rules(api_server)]),
        **{
            f"networkpolicy-release-{name}.yaml": _policy(
                f"release-{name}", namespace, {"matchLabels": {COMMAND: name}}, rules(reached)
            )
            for name, reached in peers.items()
        },
    }


def _policy(name: str, namespace: str, pods: Object, egress: Sequence[object]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": labels()},
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress", "Egress"],
            **({"egress": list(egress)} if egress else {}),
        },
    }
