"""The health scripts that Argo CD is given, run by Lua on what KServe, KFP and the secrets' operator write."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ..support.application_sets import FOLDER, built, of_kind
from ..support.lua import health

Object = dict[str, Any]
PREFIX = "resource.customizations.health."


def inference(ready: str, *, reason: str = "", seen: int | None = 2, **model: Any) -> Object:
    """An InferenceService in Standard mode, of generation 2; `model` is its modelStatus."""
    because = {"reason": reason, "message": f"said {reason}"} if reason else {}
    conditions = [
        {"type": "IngressReady", "status": "True"},
        {"type": "PredictorReady", "status": ready, **because},
        {"type": "Ready", "status": ready},
        {"type": "Stopped", "status": "False", "severity": "Info"},
    ]
    status = {"conditions": conditions, "modelStatus": {"transitionStatus": "UpToDate", **model}}
    return {"metadata": {"generation": 2}, "status": {**status, **({"observedGeneration": seen} if seen else {})}}


def stopped(body: Object) -> Object:
    body["status"]["conditions"][-1]["status"] = "True"
    return body


def going(body: Object) -> Object:
    body["metadata"]["deletionTimestamp"] = "2026-11-28T00:00:00Z"
    return body


def llm(ready: str, *, seen: int = 2, reason: str = "Waits", condition_seen: int | None = None) -> Object:
    last = {"type": "Ready", "status": ready, **({"observedGeneration": condition_seen} if condition_seen else {})}
    workloads = {"type": "WorkloadsReady", "status": ready, **({} if ready == "True" else {"reason": reason})}
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": seen, "conditions": [workloads, last]}}


def secret(ready: str, seen: str | None = "2-abc") -> Object:
    conditions = [{"type": "Ready", "status": ready, "message": f"said {ready}"}]
    version = {"syncedResourceVersion": seen} if seen else {}
    return {"metadata": {"generation": 2}, "status": {"conditions": conditions, **version}}


def version(*states: str) -> Object:
    conditions = [{"type": f"C{number}", "status": state} for number, state in enumerate(states)]
    return {"metadata": {"generation": 1}, "status": {"conditions": conditions}}


NEW: Object = {"metadata": {"generation": 1}}
CASES: dict[str, list[tuple[str, Object, str, str]]] = {
    "InferenceService": [
        ("it is new", NEW, "Progressing", "not seen"),
        ("status without conditions", {**NEW, "status": {}}, "Progressing", "not seen"),
        ("all is well", inference("True"), "Healthy", "loaded"),
        ("KServe counts no generations", inference("True", seen=None), "Healthy", "loaded"),
        ("ready of an earlier spec", inference("True", seen=1), "Progressing", "present spec"),
        ("not available yet", inference("False", reason="MinimumReplicasUnavailable"), "Progressing", "PredictorReady"),
        ("pods roll", inference("Unknown", reason="ReplicaSetUpdated"), "Progressing", "ReplicaSetUpdated"),
        ("ready while the next loads", inference("True", transitionStatus="InProgress"), "Progressing", "earlier spec"),
        (
            "target loads",
            inference("True", states={"activeModelState": "Loaded", "targetModelState": "Loading"}),
            "Progressing",
            "Loading",
        ),
        (
            "target loaded",
            inference("True", states={"activeModelState": "Loaded", "targetModelState": "Loaded"}),
            "Healthy",
            "loaded",
        ),
        (
            "it cannot be loaded",
            inference(
                "False",
                transitionStatus="BlockedByFailedLoad",
                lastFailureInfo={"reason": "ModelLoadFailed", "message": "out of memory"},
            ),
            "Degraded",
            "ModelLoadFailed: out of memory",
        ),
        ("no such runtime", inference("False", transitionStatus="InvalidSpec"), "Degraded", "InvalidSpec"),
        (
            "the target failed and nothing says why",
            inference("True", transitionStatus="", states={"targetModelState": "FailedToLoad"}),
            "Degraded",
            "no message",
        ),
        ("too late", inference("False", reason="ProgressDeadlineExceeded"), "Degraded", "ProgressDeadlineExceeded"),
        ("stopped", stopped(inference("True")), "Suspended", "stopped"),
        ("being deleted", going(inference("True")), "Progressing", "deleted"),
    ],
    "LLMInferenceService": [
        ("it is new", NEW, "Progressing", "not seen"),
        ("all is well", llm("True"), "Healthy", "ready"),
        ("ready of an earlier spec", llm("True", seen=1), "Progressing", "present spec"),
        ("a condition of an earlier spec", llm("True", condition_seen=1), "Progressing", "present spec"),
        ("on its way", llm("Unknown"), "Progressing", "WorkloadsReady: Waits"),
        ("broken", llm("False"), "Degraded", "WorkloadsReady: Waits"),
        ("stopped", llm("False", reason="Stopped"), "Suspended", "stopped"),
        ("being deleted", going(llm("True")), "Progressing", "deleted"),
    ],
    "PipelineVersion": [
        ("taken", NEW, "Healthy", "taken"),
        ("all is well", version("True", "True"), "Healthy", "taken"),
        ("refused", version("True", "False"), "Degraded", "C1"),
        ("on its way", version("Unknown"), "Progressing", "C0"),
    ],
    "ExternalSecret": [
        ("it is new", NEW, "Progressing", "not synced it yet"),
        ("synced", secret("True"), "Healthy", "said True"),
        ("synced before the operator counted", secret("True", None), "Healthy", "said True"),
        ("ready of an earlier spec", secret("True", "1-abc"), "Progressing", "present spec"),
        ("refused", secret("False"), "Degraded", "said False"),
        ("not decided", secret("Unknown"), "Progressing", "not synced it yet"),
    ],
}
EACH = [(kind, *case) for kind, cases in CASES.items() for case in cases]


@pytest.mark.parametrize(("kind", "case", "obj", "status", "message"), EACH, ids=lambda value: str(value)[:30])
def test_an_object_is_as_well_as_its_script_says(kind: str, case: str, obj: Object, status: str, message: str) -> None:
    said, why = health(FOLDER / "health" / f"{kind}.lua", obj)
    assert (said, message in why) == (status, True), why


def test_argo_cd_is_given_each_script_under_the_name_of_its_kind() -> None:
    given = of_kind(built(), "ConfigMap", "argocd-cm")["data"]
    groups = {
        "ExternalSecret": "external-secrets.io",
        "InferenceService": "serving.kserve.io",
        "LLMInferenceService": "serving.kserve.io",
        "PipelineVersion": "pipelines.kubeflow.org",
    }
    scripts = {path.stem: path.read_text() for path in (FOLDER / "health").iterdir()}
    assert given == {f"{PREFIX}{groups[kind]}_{kind}": text for kind, text in scripts.items()}
    assert CASES.keys() == scripts.keys()


def test_argo_cds_own_configuration_is_merged_into_and_not_replaced() -> None:
    body = of_kind(built(), "ConfigMap", "argocd-cm")
    assert all(key.startswith(PREFIX) for key in body["data"])
    assert body["metadata"]["labels"]["app.kubernetes.io/part-of"] == "argocd"
    assert yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"][0]["options"][
        "disableNameSuffixHash"
    ]
