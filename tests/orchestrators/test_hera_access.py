"""What a release's pods and who submits them may do on a cluster, computed from the YAML and held to the effects."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_airflow.clusters import Argo
from nexus_release.config import load_settings
from nexus_release.graph import NODES
from nexus_release.pod_settings import Peer
from nexus_release.pods import reached as targets
from nexus_release.step import Effect
from nexus_release.wiring import SECRETS

from ..support.argo_rendered import committed
from ..support.cluster_rules import Permission, admitted, permissions, reached
from ..support.repository import ROOT

SETTINGS = load_settings(ROOT, "dev")
SPACE = SETTINGS.pods.namespace
EFFECTS: dict[str, tuple[Effect, ...]] = {
    "ask": ("read:git",),
    "summary": (),
    "canary": ("read:git", "write:git", "read:figures"),
    "drift": ("read:git",),
    **{name: node.step.effects for name, node in NODES.items()},
}
ARGO = "argoproj.io"
NAMES = {("kube-system [('k8s-app', 'kube-dns')]", protocol, 53) for protocol in ("TCP", "UDP")}
# What Argo's server does in the caller's name (server/workflow/workflow_server.go of Argo Workflows 4.1).
ASKED_OF_ARGO: dict[str, set[Permission]] = {
    "GET": {(ARGO, "workflows", "get", "")},
    "submit": {(ARGO, "workflowtemplates", "get", "nexus-release"), (ARGO, "workflows", "create", "")},
    "retry": {(ARGO, "workflows", "get", ""), (ARGO, "workflows", "update", ""), ("", "pods", "delete", "")},
    "terminate": {(ARGO, "workflows", "get", ""), (ARGO, "workflows", "patch", "")},
}


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return committed()


@pytest.fixture(scope="module")
def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Command -> its template."""
    found: dict[str, dict[str, Any]] = {}
    for one in objects:
        for template in one.get("spec", {}).get("templates", []):
            if "container" in template:
                found[template["name"]] = template
    assert found.keys() == EFFECTS.keys()
    return found


def test_nothing_is_allowed_by_a_wildcard_or_for_the_whole_cluster(objects: list[dict[str, Any]]) -> None:
    assert not [one for one in objects if one["kind"].startswith("ClusterRole")]
    rules = [rule for one in objects if one["kind"] == "Role" for rule in one["rules"]]
    words = {word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert words == {"", ARGO, "workflowtaskresults", "workflowtemplates", "workflows", "pods"} | {
        *("create", "delete", "get", "patch", "update")
    }
    assert {one["metadata"]["namespace"] for one in objects if one["kind"] in ("Role", "RoleBinding")} == {SPACE}


@pytest.mark.parametrize("command", EFFECTS)
def test_a_command_may_ask_the_api_for_nothing_and_has_no_token(
    command: str, objects: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    account = pods[command]["serviceAccountName"]
    assert account == f"release-{command}"
    assert permissions(objects, account, SPACE) == set()
    (declared,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == ("ServiceAccount", account)]
    assert declared["automountServiceAccountToken"] is False
    assert pods[command]["automountServiceAccountToken"] is False
    assert pods[command]["executor"] == {"serviceAccountName": "release-executor"}


def test_argos_own_containers_may_report_results_and_nothing_else(objects: list[dict[str, Any]]) -> None:
    assert permissions(objects, "release-executor", SPACE) == {
        (ARGO, "workflowtaskresults", "create", ""),
        (ARGO, "workflowtaskresults", "patch", ""),
    }
    (token,) = [one for one in objects if one["kind"] == "Secret"]
    assert token["metadata"]["name"] == "release-executor.service-account-token"
    assert not token.keys() & {"data", "stringData"}


def test_who_submits_may_do_what_airflow_asks_of_argo_and_nothing_else(objects: list[dict[str, Any]]) -> None:
    cluster = Argo(engine="argo", connection="nexus_argo", namespace=SPACE, template="nexus-release")
    calls = [cluster.find("one"), cluster.create("one", "{}"), cluster.again("one"), cluster.stop("one")]
    words = [call.path.rpartition("/")[2] if call.method != "GET" else "GET" for call in calls]
    needed = {permission for word in words for permission in ASKED_OF_ARGO[word]}
    of_a_file = (ARGO, "workflowtemplates", "get", "nexus-release-of-a-file")  # for a person, by the same account
    assert permissions(objects, "release-submitter", SPACE) == needed | {of_a_file}


@pytest.mark.parametrize("command", EFFECTS)
def test_a_command_reaches_names_the_api_server_and_what_its_effects_name(
    command: str, objects: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    labels = pods[command]["metadata"]["labels"]
    peers = [peer for target in targets(EFFECTS[command]) for peer in SETTINGS.pods.egress[target]]
    wanted = {one for peer in [*peers, *SETTINGS.pods.api_server] for one in told(peer)}
    assert reached(objects, labels) == wanted | NAMES
    assert admitted(objects, labels) == []


def test_a_pod_of_somebody_else_in_the_namespace_reaches_nothing(objects: list[dict[str, Any]]) -> None:
    assert reached(objects, {"app": "stray"}) == set()
    assert admitted(objects, {"app": "stray"}) == []


@pytest.mark.parametrize("command", EFFECTS)
def test_a_command_sees_the_secrets_that_it_would_keep(command: str, pods: dict[str, dict[str, Any]]) -> None:
    declared = pods[command]["container"]["env"]
    seen = {one["name"] for one in declared if "valueFrom" in one}
    known = {key for name, key in SETTINGS.pods.secrets.model_dump().items() if key}
    assert {one["valueFrom"]["secretKeyRef"]["name"] for one in declared if "valueFrom" in one} <= known
    kept = {name for name, effects in SECRETS.items() if {*effects} & {*EFFECTS[command]}}
    registry = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}
    given = {"NEXUS_REMOTE", "NEXUS_PUSH_REMOTE", "HF_TOKEN", "NEXUS_SIGNING_KEY"} | registry
    assert seen == kept & given


def told(peer: Peer) -> set[tuple[str, str, int]]:
    name = peer.cidr or f"{peer.namespace} {sorted(peer.pods.items())}"
    return {(name, "TCP", port) for port in peer.ports}
