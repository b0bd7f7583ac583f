"""The pods of steps: each is told, shown and let through to what its effects name, and to nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput
from nexus_release.graph import NODES
from nexus_release.pod_settings import StepForge
from nexus_release.pods import SecretVariable, pod_of, reached
from nexus_release.wiring import SECRETS

from ..support.releases import plant_environments
from ..support.repository import ROOT

SECRET_OF = {
    "NEXUS_REMOTE": "nexus-git",
    "NEXUS_PUSH_REMOTE": "nexus-git-push",
    "MLFLOW_TRACKING_USERNAME": "nexus-mlflow",
    "MLFLOW_TRACKING_PASSWORD": "nexus-mlflow",
    "HF_TOKEN": "nexus-hub",
    "NEXUS_SIGNING_KEY": "nexus-signing",
}


@pytest.fixture(scope="module")
def dev() -> Settings:
    return load_settings(ROOT, "dev")


@pytest.mark.parametrize("name", NODES)
def test_a_pod_sees_the_secrets_that_its_step_keeps(name: str, dev: Settings) -> None:
    step = NODES[name].step
    wanted = {
        variable: SECRET_OF[variable]
        for variable, effects in SECRETS.items()
        if variable in SECRET_OF and {*effects} & {*step.effects}
    }
    assert {seen.name: seen.secret for seen in pod_of(step, dev).secrets} == wanted


@pytest.mark.parametrize("name", NODES)
def test_a_pod_reaches_the_peers_of_its_effects_alone(name: str, dev: Settings) -> None:
    step = NODES[name].step
    named = {effect.split(":")[1] for effect in step.effects} - {"store", "signing-key", "pull-request"}
    assert {*reached(step.effects)} == named
    assert pod_of(step, dev).egress == tuple(
        peer for target in reached(step.effects) for peer in dev.pods.egress[target]
    )


def test_the_push_credential_is_the_last_steps_alone(dev: Settings) -> None:
    seers = [
        name for name, node in NODES.items() if "nexus-git-push" in {s.secret for s in pod_of(node.step, dev).secrets}
    ]
    assert seers == ["propose"]


def test_a_forge_is_told_to_the_last_step_alone(dev: Settings) -> None:
    given = StepForge(kind="gitlab", url="https://git.example.com", secret="forge")
    settings = dev.model_copy(update={"pods": dev.pods.model_copy(update={"forge": given})})
    told = {name: pod_of(node.step, settings) for name, node in NODES.items()}
    assert [name for name, pod in told.items() if "NEXUS_FORGE" in pod.variables] == ["propose"]
    assert {"NEXUS_FORGE": "gitlab", "NEXUS_FORGE_URL": given.url}.items() <= told["propose"].variables.items()
    seers = [name for name, pod in told.items() if SecretVariable("NEXUS_FORGE_TOKEN", "forge") in pod.secrets]
    assert seers == ["propose"]


def test_a_gpu_is_asked_for_by_steps_that_use_one_where_the_environment_has_them(dev: Settings) -> None:
    on_gpu = {name: pod_of(node.step, dev) for name, node in NODES.items() if node.step.resources.gpu}
    assert {pod.amounts["nvidia.com/gpu"] for pod in on_gpu.values()} == {"1"}
    assert {pod.tolerations for pod in on_gpu.values()} == {dev.gpu.tolerations}
    local = load_settings(ROOT, "local")
    assert not [name for name, node in NODES.items() if "nvidia.com/gpu" in pod_of(node.step, local).amounts]


@pytest.mark.parametrize(
    ("change", "field", "mend"),
    [
        ({"registry": "https://me:secret@mlflow"}, "pods.registry", "pattern"),
        ({"egress": {"git": [{"ports": [443]}]}}, "pods.egress.git.0", "give either cidr, or namespace and pods"),
        ({"egress": {"git": [{"cidr": "10.0.0.1/8", "ports": [443]}]}}, "pods.egress.git.0.cidr", "write 10.0.0.0/8"),
        ({"egress": {"git": [{"cidr": "10.0.0.0/8", "ports": []}]}}, "pods.egress.git.0.ports", "at least 1"),
        ({"egress": {"engines": []}}, "pods.egress.engines", "dataset"),
        ({"images": {"train": "train:latest"}}, "pods.images.train", "pattern"),
    ],
)
def test_what_no_cluster_should_take_is_refused_by_name(
    change: dict[str, object], field: str, mend: str, tmp_path: Path
) -> None:
    plant_environments(tmp_path)
    own = tmp_path / "environments/dev/settings.yaml"
    own.write_text(yaml.safe_dump(yaml.safe_load(own.read_text()) | {"pods": change}))
    with pytest.raises(BadInput) as refusal:
        load_settings(tmp_path, "dev")
    assert field in str(refusal.value)
    assert mend in str(refusal.value)
