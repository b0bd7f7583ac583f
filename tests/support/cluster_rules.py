"""What Roles and NetworkPolicies allow, computed from their YAML as an API server and a network would.

Whatever it does not know, it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Object = dict[str, Any]
Permission = tuple[str, str, str, str]
"""API group, resource, verb, and the one object that it is for, or nothing for each."""


def permissions(objects: Iterable[Object], account: str, namespace: str) -> set[Permission]:
    """Of a ServiceAccount."""
    kept = [*objects]
    roles = {one["metadata"]["name"]: one for one in kept if one["kind"] == "Role"}
    found: set[Permission] = set()
    for binding in (one for one in kept if one["kind"] == "RoleBinding"):
        assert binding["roleRef"]["kind"] == "Role", "not understood"
        if {"kind": "ServiceAccount", "name": account, "namespace": namespace} in binding["subjects"]:
            found |= {given for rule in roles[binding["roleRef"]["name"]]["rules"] for given in _given(rule)}
    return found


def reached(objects: Iterable[Object], labels: Mapping[str, str]) -> set[tuple[str, str, int]]:
    """(peer, protocol, port) that a pod with these labels may open a connection to."""
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    chosen = [one for one in policies if _selects(one["podSelector"], labels) and "Egress" in one["policyTypes"]]
    assert chosen, "no policy is for this pod, so it may reach everything"
    return {one for policy in chosen for rule in policy.get("egress", []) for one in _through(rule)}


def admitted(objects: Iterable[Object], labels: Mapping[str, str]) -> list[Object]:
    """The rules by which somebody may open a connection to a pod with these labels."""
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    chosen = [one for one in policies if _selects(one["podSelector"], labels) and "Ingress" in one["policyTypes"]]
    assert chosen, "no policy is for this pod, so everybody may reach it"
    return [rule for policy in chosen for rule in policy.get("ingress", [])]


def _given(rule: Object) -> Iterator[Permission]:
    assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}, f"not understood: {rule}"
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield group, resource, verb, name


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}, f"not understood: {selector}"
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "Exists", f"not understood: {expression}"
        wanted = wanted and expression["key"] in labels
    return wanted


def _through(rule: Object) -> Iterator[tuple[str, str, int]]:
    assert rule.keys() == {"to", "ports"}, f"{rule} names no peer or no port, and so all of them"
    for peer in rule["to"]:
        for port in rule["ports"]:
            yield peer_name(peer), port["protocol"], port["port"]


def peer_name(peer: Object) -> str:
    if "ipBlock" in peer:
        assert peer["ipBlock"].keys() == {"cidr"}
        return str(peer["ipBlock"]["cidr"])
    assert peer.keys() == {"namespaceSelector", "podSelector"}, f"not understood: {peer}"
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    return f"{namespace} {sorted(peer['podSelector'].get('matchLabels', {}).items())}"
