"""What is rendered is what an API server would store: Argo CD sees no difference that nobody made."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_release.manifests.gateway import ROUTES_FOLDER
from nexus_release.object_rules.traps import exact_quantities

from ..support.cluster_settings import CHOICES, STORE, settings_of
from ..support.core_defaults import DEFAULTS, OTHERS_OWN, core_defaulted, places
from ..support.crd_schemas import defaulted, find_schema
from ..support.external_secret_schema import SCHEMA as EXTERNAL_SECRET
from ..support.object_schemas import crds_folder, object_faults
from ..support.releases import STATES
from .test_rendered import made_up, objects

Document = dict[str, Any]
HOOK = "argocd.argoproj.io/hook"
GROUPS = ("serving.kserve.io", "keda.sh", "monitoring.coreos.com", "gateway.networking.k8s.io")
"""Of kinds that CRDs define."""


def drift(document: Document) -> str | None:
    """What an API server would make of it, where that is something else. Hooks are made anew at each sync, and never
    compared. A custom resource can be looked at only where its CRD is."""
    if HOOK in document["metadata"].get("annotations", {}):
        return None
    stored = _stored(document)
    return None if stored == document else f"{stored} is not {document}"


def _stored(document: Document) -> Document:
    if document["kind"] == "ExternalSecret":
        return _mapping(defaulted(EXTERNAL_SECRET, document))
    if document["apiVersion"].partition("/")[0] not in GROUPS:
        return core_defaulted(document)
    folder = crds_folder()
    if folder is None:
        return document
    schema = find_schema(folder, document["apiVersion"], document["kind"])
    assert schema, f"no CRD of {document['kind']}"
    return _mapping(defaulted(schema, document))


def _mapping(value: Any) -> Document:
    assert isinstance(value, dict)
    return value


@cache
def faults_of(text: str) -> tuple[str, ...]:
    """Of one rendered file: it drifts, is not what its kind says, or has an amount that would be rewritten."""
    body = yaml.safe_load(text)
    found = drift(body)
    return (*([found] if found else []), *object_faults(body), *exact_quantities(body))


def test_no_object_that_can_be_rendered_drifts() -> None:
    assert {path: found for path, body in objects().items() if (found := drift(body))} == {}


def test_the_kinds_that_are_looked_at_are_all_that_there_are() -> None:
    """Nobody adds a kind without saying what an API server fills into it."""
    core = {body["kind"] for body in objects().values() if body["apiVersion"].partition("/")[0] not in GROUPS}
    assert core - {"ExternalSecret", "Job"} == DEFAULTS.keys() - {"PersistentVolumeClaim"} | (
        core & {"PersistentVolumeClaim"}
    )
    hooks = [body for body in objects().values() if body["kind"] == "Job"]
    assert all(HOOK in body["metadata"]["annotations"] for body in hooks)


counts = st.tuples(st.integers(1, 5), st.integers(0, 5)).map(lambda pair: {"minimum": pair[0], "maximum": sum(pair)})
amounts = st.sampled_from([{"cpu": "100m", "memory": "256Mi"}, {"cpu": "1", "memory": "1Gi"}])
gateways = st.fixed_dictionaries(
    {
        "expose": st.sampled_from(["ingress", "gateway-api", "load-balancer", "none"]),
        "tls_secret": st.sampled_from([None, "gateway-tls"]),
        "replicas": counts,
        "resources": st.fixed_dictionaries({"requests": amounts}),
        "drain_seconds": st.integers(10, 60),
        "grace_seconds": st.integers(1, 900),
        "secrets": st.fixed_dictionaries({"store": st.sampled_from([None, STORE])}),
        "watching": st.fixed_dictionaries({"operator": st.booleans()}),
        "gateway_api": st.fixed_dictionaries({"section": st.sampled_from([None, "https"])}),
        "variables": st.sampled_from([{}, {"GATEWAY_JWT_ISSUER": "https://issuer.example.org"}]),
        "callers": st.sampled_from([[], [{"namespace": "shop"}]]),
        "egress": st.sampled_from([[], [{"cidr": "0.0.0.0/0", "ports": [443]}]]),
    }
)
redises = st.sampled_from(
    [
        {"mode": "single"},
        {"mode": "single", "storage_class": "fast"},
        {"mode": "sentinel"},
        {"mode": "none"},
        CHOICES["everything elsewhere"]["redis"],
    ]
)
engines = st.fixed_dictionaries(
    {
        "replicas": counts,
        "autoscaling": st.fixed_dictionaries({"scaler": st.sampled_from(["hpa", "keda", "scaled-object"])}),
        "cache": st.sampled_from(
            [{"kind": "empty-dir"}, {"kind": "claim", "storage_class": "shared"}, {"kind": "claim"}]
        ),
        "hub_token": st.sampled_from([None, "hub"]),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    environment=st.sampled_from(["dev", "staging", "prod"]),
    state=st.sampled_from(STATES),
    gateway=gateways,
    redis=redises,
    engine=engines,
)
def test_whatever_an_environment_chooses_nothing_drifts(
    environment: str, state: Any, gateway: Document, redis: Document, engine: Document
) -> None:
    files = made_up(environment, state, settings_of(environment, {"gateway": gateway, "redis": redis, **engine}))
    found = {
        path: faults_of(text)
        for path, text in files.items()
        if f"/{ROUTES_FOLDER}/" not in path and not path.endswith("/kustomization.yaml")
    }
    assert {path: faults for path, faults in found.items() if faults} == {}


@cache
def written_out() -> list[tuple[str, tuple[str, ...], str]]:
    """(kind, path, field) of each default that stands in some rendered object."""
    found = set()
    for body in objects().values():
        for path, fields in DEFAULTS.get(body["kind"], {}).items():
            for place in places(body, path):
                found |= {(body["kind"], path, field) for field in fields if field in place}
    return sorted(found)


def test_a_default_that_is_left_out_is_seen() -> None:
    """Of each field that is written out: the same object without it would drift, unless it says the opposite."""
    seen = 0
    for kind, path, field in written_out():
        for body in (one for one in objects().values() if one["kind"] == kind):
            without = copy.deepcopy(body)
            here = [place for place in places(without, path) if field in place]
            if here and HOOK not in body["metadata"]["annotations"]:
                del here[0][field]
                left_out = (*path, field) in OTHERS_OWN.get(kind, set())
                assert bool(drift(without)) != left_out, (kind, path, field)
                seen += 1
                break
    assert seen > 40


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("HTTPRoute", ("spec", "parentRefs", 0, "group")),
        ("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0, "weight")),
        ("HTTPRoute", ("spec", "rules", 0, "matches")),
        ("ExternalSecret", ("spec", "dataFrom", 0, "extract", "decodingStrategy")),
        ("ExternalSecret", ("spec", "target", "deletionPolicy")),
        ("ServingRuntime", ("spec", "containers", 0, "ports", 0, "protocol")),
    ],
)
def test_a_default_of_a_crd_that_is_left_out_is_seen(kind: str, keys: tuple[Any, ...]) -> None:
    if kind != "ExternalSecret" and crds_folder() is None:
        pytest.skip("NEXUS_CRDS names no folder of upstream CRDs (`make crds` downloads them)")
    without = copy.deepcopy(next(body for body in objects().values() if body["kind"] == kind))
    assert drift(without) is None
    place: Any = without
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    assert drift(without)


def test_a_kind_that_nobody_has_thought_of_is_an_error() -> None:
    with pytest.raises(KeyError):
        drift({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "x"}})
