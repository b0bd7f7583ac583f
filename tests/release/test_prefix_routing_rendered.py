"""A model whose pods the gateway chooses by the beginning of a prompt: what is rendered, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from nexus_gateway.routes import compile_file, parse
from nexus_release.config import Settings
from nexus_release.convergence.routed import routed
from nexus_release.manifests.tree import Inputs, render, service_path
from nexus_release.names import service_name

from ..support.cluster_settings import CHOICES, settings_of
from ..support.releases import make_plan, make_pointer, make_record

MODEL = "pydoc-chat"
BY_PREFIX = CHOICES["pods by the beginning of a prompt"]
APART = CHOICES["prompts and answers apart"]
PLAN = make_plan(MODEL, "canary")
RECORDS = {make_pointer(record).release: record for record in (make_record(MODEL, seed) for seed in (1, 2, 3))}
STABLE = service_name(MODEL, PLAN.stable.release)
ROUTES = f"gitops/prod/gateway/routes.d/{MODEL}.yaml"


def files(settings: Settings) -> dict[str, str]:
    return render(Inputs("prod", settings, {MODEL: PLAN}, RECORDS))


def test_each_release_has_a_service_whose_name_leads_to_its_ready_pods() -> None:
    tree = files(settings_of("prod", BY_PREFIX))
    for release in PLAN.releases:
        service: dict[str, Any] = yaml.safe_load(
            tree[service_path("prod", MODEL, release).replace(".yaml", "-pods.yaml")]
        )
        assert (service["kind"], service["spec"]["clusterIP"]) == ("Service", "None")
        assert service["spec"]["selector"] == {"serving.kserve.io/inferenceservice": service_name(MODEL, release)}
        assert "publishNotReadyAddresses" not in service["spec"]


def test_the_gateway_reads_the_choice_that_the_settings_name() -> None:
    text = files(settings_of("prod", BY_PREFIX))[ROUTES].encode()
    table = compile_file("it.yaml", parse("it.yaml", text), 10.0, None)
    upstream = table.upstreams[STABLE]
    assert upstream.service == f"http://{STABLE}-pods.nexus.svc.cluster.local:8080"
    assert upstream.prefix is not None
    assert upstream.prefix.tau == 15928 * 2
    assert upstream.prefix.least_tokens == 500
    assert upstream.choice is not None
    assert upstream.choice.memory_seconds == 0
    assert [one.url for model in routed({"it.yaml": text}) for one in model.releases if one.service == STABLE] == [
        upstream.service
    ]


def test_what_is_remembered_is_told_to_the_gateway() -> None:
    settings = settings_of("prod", BY_PREFIX, {"prefix_routing": {"models": {MODEL: {"memory_seconds": 300}}}})
    table = compile_file("it.yaml", parse("it.yaml", files(settings)[ROUTES].encode()), 10.0, None)
    assert [one.choice.memory_seconds for one in table.upstreams.values() if one.choice] == [300, 300]


def test_other_models_and_environments_are_as_before() -> None:
    tree = files(settings_of("prod"))
    assert not [path for path in tree if path.endswith("-pods.yaml")]
    assert "choice" not in tree[ROUTES]


def test_where_an_endpoint_picker_chooses_the_gateway_does_not() -> None:
    halves = APART["disaggregated"]["models"][MODEL] | {"releases": [PLAN.stable.release[:8]]}
    settings = settings_of("prod", APART, {"disaggregated": {"models": {MODEL: halves}}}, one_model())
    upstreams = yaml.safe_load(files(settings)[ROUTES])["upstreams"]
    assert PLAN.canary is not None
    assert "choice" not in upstreams[STABLE]
    assert "choice" in upstreams[service_name(MODEL, PLAN.canary.release)]


def one_model() -> dict[str, Any]:
    return {"prefix_routing": {"models": {MODEL: BY_PREFIX["prefix_routing"]["models"][MODEL]}}}


@pytest.mark.parametrize(
    ("environment", "over", "says"),
    [
        ("prod", APART, rf"prefix_routing.models.{MODEL}: its pods are chosen by the endpoint picker: take it away"),
        ("local", {}, rf"prefix_routing.models.{MODEL}: engines are processes of this machine"),
        ("prod", {"prefix_routing": {"models": {MODEL: {"bound": 0.5}}}}, "greater than or equal to 1"),
        (
            "prod",
            {"redis": {"mode": "none", "image": None}, "prefix_routing": {"models": {MODEL: {"memory_seconds": 60}}}},
            rf"prefix_routing.models.{MODEL}.memory_seconds: 60: redis.mode is none",
        ),
        ("prod", {"prefix_routing": {"models": {MODEL: {"ttft_penalty_seconds": 0}}}}, "greater than 0"),
        ("prod", {"prefix_routing": {"models": {MODEL: {"tau": 1}}}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(environment: str, over: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        settings_of(environment, one_model(), over)
