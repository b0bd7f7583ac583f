"""Each runtime, cache, token and way of scaling that settings offer, as objects that a cluster takes as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput
from nexus_release.manifests.engines import ENGINES
from nexus_release.manifests.scaling import refuse_two_scalers
from nexus_release.manifests.tree import Inputs, render, service_path
from nexus_release.names import service_name

from ..support.kserve_types import KINDS
from ..support.object_schemas import Document, drift_faults, object_faults
from ..support.releases import make_plan, make_pointer, make_record, plant_environments

IMAGE = f"registry.example.org/engine@sha256:{'0' * 64}"
PLAN = make_plan("pydoc-chat", "first")
RECORD = make_record("pydoc-chat", 1)
SERVICE = service_name(PLAN.model, PLAN.stable.release)
CPU = {"gpu": {"enabled": False}}
SCALERS = ("hpa", "keda", "scaled-object")
CUSTOM = {*KINDS, "PodMonitor", "ScaledObject"}


@pytest.fixture
def settings_with(tmp_path: Path) -> Any:
    """The settings of an environment whose file says so much."""
    plant_environments(tmp_path)

    def made(**said: Any) -> Settings:
        path = tmp_path / "environments" / "dev" / "settings.yaml"
        images = {"engine_images": dict.fromkeys(ENGINES, IMAGE)}
        path.write_text(yaml.safe_dump(images | said))
        return load_settings(tmp_path, "dev")

    return made


def tree(settings: Settings) -> dict[str, str]:
    return render(Inputs("dev", settings, {PLAN.model: PLAN}, {make_pointer(RECORD).release: RECORD}))


def objects(settings: Settings) -> dict[str, Document]:
    found = {path: yaml.safe_load(text) for path, text in tree(settings).items() if "/gateway/" not in path}
    return {path: body for path, body in found.items() if body["kind"] != "Kustomization"}


def service(settings: Settings) -> Document:
    body = yaml.safe_load(tree(settings)[service_path("dev", PLAN.model, PLAN.stable.release)])
    assert isinstance(body, dict)
    return body


def runtime(settings: Settings) -> Document:
    body = yaml.safe_load(tree(settings)[f"gitops/dev/runtimes/{settings.runtime}.yaml"])
    assert isinstance(body, dict)
    return body


def variants() -> dict[str, dict[str, Any]]:
    cpu = {"nexus-worker", "nexus-bentoml"}
    scaled = {"replicas": {"minimum": 1, "maximum": 4}}
    return {
        **{name: {"runtime": name, **(CPU if name in cpu else {})} for name in ENGINES},
        **{
            f"{name} {by}": {"runtime": name, **scaled, "autoscaling": {"scaler": by}, **(CPU if name in cpu else {})}
            for name in ENGINES
            for by in SCALERS
        },
        "claim": {"cache": {"kind": "claim", "storage_class": "fast", "size": "50Gi"}},
        "token": {"hub_token": "nexus-hub"},
    }


@pytest.mark.parametrize("name", variants())
def test_every_choice_is_valid_to_the_last_field_and_in_the_form_that_a_server_keeps(
    settings_with: Any, name: str
) -> None:
    found = objects(settings_with(**variants()[name]))
    assert {path: lines for path, body in found.items() if (lines := object_faults(body))} == {}
    crds = os.environ.get("NEXUS_CRDS")
    custom = [body for body in found.values() if body["kind"] in CUSTOM]
    assert len(custom) >= 3
    if crds:
        assert [lines for body in custom if (lines := drift_faults(Path(crds), body))] == []


def test_an_engine_is_told_of_a_model_by_its_own_words(settings_with: Any) -> None:
    def arguments(**said: Any) -> list[str]:
        return list(service(settings_with(**said))["spec"]["predictor"]["model"]["args"])

    assert arguments() == [
        "--served-model-name=pydoc-chat",
        "--enable-force-include-usage",
        "--max-model-len=1024",
        "--max-num-seqs=32",
        "--enable-prompt-tokens-details",
        "--tensor-parallel-size=1",
        "--gpu-memory-utilization=0.9",
    ]
    assert arguments(runtime="nexus-sglang")[:5] == [
        "--served-model-name=pydoc-chat",
        "--stream-response-default-include-usage",
        "--context-length=1024",
        "--max-running-requests=32",
        "--tensor-parallel-size=1",
    ]
    assert arguments(runtime="nexus-bentoml", **CPU) == [
        "--arg=served_model_name=pydoc-chat",
        "--arg=max_model_len=1024",
        "--arg=max_num_seqs=32",
    ]


def test_sglang_tells_cached_tokens_only_where_its_cache_may_be_shared(settings_with: Any) -> None:
    """vLLM keeps tenants apart, and always tells them; here one would learn from them what another has asked."""

    def tells(prefix_cache: str) -> bool:
        made = settings_with(runtime="nexus-sglang", serving={"prefix_cache": prefix_cache})
        return "--enable-cache-report" in service(made)["spec"]["predictor"]["model"]["args"]

    assert not tells("tenant")
    assert tells("shared")


def test_sglang_takes_for_weights_and_cache_what_is_left_of_its_share(settings_with: Any) -> None:
    def static(percent: int) -> float:
        made = settings_with(runtime="nexus-sglang", serving={"gpu_memory_percent": percent})
        (option,) = (word for word in service(made)["spec"]["predictor"]["model"]["args"] if "mem-fraction" in word)
        return float(option.partition("=")[2])

    assert 0.8 < static(90) < 0.9  # 2 GiB of 80 GB are CUDA's own, and the batch needs room
    assert static(50) == pytest.approx(static(90) - 0.4, abs=0.011)


def test_only_an_engine_with_a_token_may_ask_the_hub(settings_with: Any) -> None:
    def variables(**said: Any) -> dict[str, Any]:
        (container,) = runtime(settings_with(**said))["spec"]["containers"]
        return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}

    alone, given = variables(), variables(hub_token="nexus-hub")
    assert (alone["HF_HUB_OFFLINE"], "HF_TOKEN" in alone) == ("1", False)
    assert given["HF_TOKEN"] == {"secretKeyRef": {"name": "nexus-hub", "key": "HF_TOKEN"}}
    assert "HF_HUB_OFFLINE" not in given


def test_what_is_compiled_is_kept_on_the_cache_and_nowhere_else(settings_with: Any) -> None:
    for name in ("nexus-vllm", "nexus-sglang"):
        (container,) = runtime(settings_with(runtime=name))["spec"]["containers"]
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        kept = [one["value"] for one in container["env"] if "CACHE" in one["name"] or one["name"] == "HF_HOME"]
        assert len(kept) >= 5
        assert all(path.startswith("/var/cache/nexus/") for path in kept)
        assert {"/var/cache/nexus", "/tmp", "/dev/shm"} == mounts


def test_a_cache_is_the_pod_s_own_up_to_its_limit_or_a_claim_of_all(settings_with: Any) -> None:
    def cache(settings: Settings) -> dict[str, Any]:
        (volume,) = (one for one in runtime(settings)["spec"]["volumes"] if one["name"] == "cache")
        return dict(volume)

    own = settings_with(cache={"size": "5Gi"})
    assert cache(own) == {"name": "cache", "emptyDir": {"sizeLimit": "5Gi"}}
    assert not [path for path in tree(own) if "persistentvolumeclaim" in path]
    shared = settings_with(cache={"kind": "claim", "size": "50Gi"})
    assert cache(shared)["persistentVolumeClaim"] == {"claimName": "nexus-engine-cache"}
    claim = yaml.safe_load(tree(shared)["gitops/dev/runtimes/persistentvolumeclaim-nexus-engine-cache.yaml"])
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert service(shared)["spec"]["predictor"]["securityContext"]["fsGroup"] == 1000


@pytest.mark.parametrize(
    ("maximum", "scaler", "written"), [(1, "keda", "none"), (4, "hpa", "hpa"), (4, "keda", "keda")]
)
def test_kserve_is_always_told_what_scales(settings_with: Any, maximum: int, scaler: str, written: str) -> None:
    made = settings_with(replicas={"minimum": 1, "maximum": maximum}, autoscaling={"scaler": scaler})
    found = service(made)
    assert found["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == written
    predictor = found["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, maximum)
    assert ("scaleMetric" in predictor) == (written == "hpa")
    assert ("autoScaling" in predictor) == (written == "keda")


def test_keda_scales_by_requests_in_hand_and_by_the_cache(settings_with: Any) -> None:
    made = settings_with(replicas={"maximum": 4}, autoscaling={"scaler": "keda", "load_percent": 75})
    scaling = service(made)["spec"]["predictor"]["autoScaling"]
    requests, cache = (metric["external"] for metric in scaling["metrics"])
    where = f'{{namespace="nexus", serving_kserve_io_inferenceservice="{SERVICE}"}}'
    assert requests["metric"]["query"] == (
        f"sum(vllm:num_requests_running{where}) + sum(vllm:num_requests_waiting{where})"
    )
    assert cache["metric"]["query"] == f"100 * sum(vllm:kv_cache_usage_perc{where})"
    # KServe takes `value` for the share of one pod: 75 % of 32 requests, 75 % of a cache.
    assert [one["target"] for one in (requests, cache)] == [
        {"type": "Value", "value": "24"},
        {"type": "Value", "value": "75"},
    ]
    assert scaling["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": 600}}


def test_a_scaled_object_of_ours_tells_kserve_to_keep_off_and_holds_while_nothing_is_known(settings_with: Any) -> None:
    made = settings_with(replicas={"minimum": 2, "maximum": 4}, autoscaling={"scaler": "scaled-object"})
    found = service(made)
    assert found["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
    assert "autoScaling" not in found["spec"]["predictor"]
    (scaler,) = (body for body in objects(made).values() if body["kind"] == "ScaledObject")
    spec = scaler["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{SERVICE}-predictor"}
    assert scaler["metadata"]["name"] != f"{SERVICE}-predictor"  # by that name KServe would remove it
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 4)
    assert spec["fallback"]["behavior"] == "currentReplicas"
    assert {trigger["metadata"]["ignoreNullValues"] for trigger in spec["triggers"]} == {"false"}
    assert {trigger["metricType"] for trigger in spec["triggers"]} == {"AverageValue"}


def test_an_engine_that_tells_no_cache_is_scaled_by_its_requests_alone(settings_with: Any) -> None:
    made = settings_with(runtime="nexus-bentoml", replicas={"maximum": 4}, autoscaling={"scaler": "keda"}, **CPU)
    (metric,) = service(made)["spec"]["predictor"]["autoScaling"]["metrics"]
    assert "bentoml_service_request_in_progress" in metric["external"]["metric"]["query"]


def hpa(target: str) -> Document:
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "mine", "namespace": "nexus"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}},
    }


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_second_scaler_of_a_deployment_is_refused(settings_with: Any, scaler: str) -> None:
    made = settings_with(replicas={"maximum": 4}, autoscaling={"scaler": scaler})
    found = [*objects(made).values()]
    refuse_two_scalers([*found, hpa("another")])
    with pytest.raises(BadInput, match=f"scales nexus Deployment {SERVICE}-predictor already"):
        refuse_two_scalers([*found, hpa(f"{SERVICE}-predictor")])


def test_a_service_that_says_nothing_is_scaled_by_kserve_all_the_same(settings_with: Any) -> None:
    found = service(settings_with())
    fixed = hpa(f"{SERVICE}-predictor")
    refuse_two_scalers([found, fixed])
    del found["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"]
    with pytest.raises(BadInput, match="already"):
        refuse_two_scalers([found, fixed])
