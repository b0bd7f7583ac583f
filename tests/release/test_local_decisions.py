"""What the laptop's cluster decides, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_release.errors import BadInput
from nexus_release.local.desired import DesiredEngine, engine_of, hosts_of
from nexus_release.local.engines import EngineChoice
from nexus_release.local.probes import requests_in
from nexus_release.local.reconcile import plan

from ..support.laptop import MODEL


def engine(service: str, args: tuple[str, ...] = ()) -> DesiredEngine:
    artifact = f"sha256:{'a' * 64}"
    return DesiredEngine(
        service=service, model=MODEL, release="r" * 64, artifact=artifact, runtime="nexus-worker", args=args
    )


def test_a_plan_starts_what_is_new_and_stops_what_is_gone() -> None:
    decided = plan([engine("kept"), engine("new")], [engine("kept"), engine("gone")])
    assert [[e.service for e in part] for part in (decided.start, decided.keep, decided.stop)] == [
        ["new"],
        ["kept"],
        ["gone"],
    ]


def test_a_service_that_changed_is_started_anew_before_the_old_one_stops() -> None:
    decided = plan([engine("same", ("--max-num-seqs=8",))], [engine("same")])
    assert (decided.start, decided.stop) == ((engine("same", ("--max-num-seqs=8",)),), (engine("same"),))


@pytest.mark.parametrize(
    ("body", "mend"),
    [
        ({}, "metadata"),
        ({"metadata": {"annotations": {}}, "spec": {"predictor": {"model": {}}}}, "storageUri"),
        (
            {"metadata": {"annotations": {}}, "spec": {"predictor": {"model": {"storageUri": "hf://some/model"}}}},
            "hf://some/model",
        ),
    ],
)
def test_an_inference_service_that_cannot_run_here_is_refused_by_field(body: dict[str, object], mend: str) -> None:
    with pytest.raises(BadInput, match=mend) as refused:
        engine_of(body, "gitops/local/m/s.yaml")
    assert "gitops/local/m/s.yaml" in str(refused.value)


def test_hosts_come_from_the_routes_and_default_to_port_80() -> None:
    routes = b"upstreams:\n  a: {url: 'http://a.svc'}\n  b: {url: 'http://b.svc:8080'}\n  c: {url: 'mock://local'}\n"
    assert hosts_of(routes, "r.yaml") == {"a": "a.svc:80", "b": "b.svc:8080"}


def test_running_and_waiting_requests_are_summed_over_models() -> None:
    text = 'vllm:num_requests_running{model_name="a"} 2.0\nvllm:num_requests_waiting 1\nvllm:num_requests_total 9\n'
    assert requests_in(text) == 3


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="NEXUS_ENGINE"):
        EngineChoice.from_environment({"NEXUS_ENGINE": "abacus"}, tmp_path)
