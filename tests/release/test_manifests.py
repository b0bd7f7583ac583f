"""The rendered tree: what stands in it, that it follows from its inputs alone, and what `nexus render` does with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from nexus_release.commands.render import command
from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.manifests.gateway import rollout
from nexus_release.manifests.tree import Inputs, differences, load_inputs, render, service_path, write
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan, admitted, plan_path, plan_text, promoted, shifted
from nexus_release.record import record_path, record_text, release_id
from nexus_release.trust.keys import PublicKey, public_keys
from nexus_release.trust.settings import SignatureSettings
from nexus_release.trust.statement import statement_digest

from ..support.releases import (
    MODELS,
    STATES,
    State,
    make_plan,
    make_pointer,
    make_record,
    plant_environments,
    plant_plan,
    plant_record,
    plant_repository,
)
from ..support.repository import ROOT
from ..support.signing import COMPANY, SUCCESSOR, public

SETTINGS = load_settings(ROOT, "dev")
RECORDS = {
    make_pointer(record).release: record for record in (make_record(m, seed) for m in MODELS for seed in (1, 2, 3))
}
states = st.sampled_from(STATES)


def inputs(*plans: Plan) -> Inputs:
    return Inputs("dev", SETTINGS, {plan.model: plan for plan in plans}, RECORDS)


def in_state(state: State) -> Inputs:
    return inputs(*(make_plan(model, state) for model in MODELS))


def route_of(plan: Plan) -> dict[str, Any]:
    document = yaml.safe_load(render(inputs(plan))[f"gitops/dev/gateway/routes.d/{model_slug(plan.model)}.yaml"])
    assert isinstance(document, dict)
    return document


@given(first=states, second=states)
def test_the_tree_follows_from_its_inputs_whatever_their_order(first: State, second: State) -> None:
    plans = [make_plan(MODELS[0], first), make_plan(MODELS[1], second)]
    one = render(inputs(*plans))
    two = render(Inputs("dev", SETTINGS, dict(inputs(*reversed(plans)).plans), dict(reversed(RECORDS.items()))))
    assert list(one.items()) == list(two.items()) == sorted(one.items())


@given(before=states, after=states)
def test_a_rollback_gives_back_the_earlier_tree_byte_for_byte(
    before: State, after: State, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("rollback")
    write(root, "dev", render(in_state(before)))
    earlier = snapshot(root)
    moved = write(root, "dev", render(in_state(after)))
    assert bool(moved) == (before != after)
    assert write(root, "dev", render(in_state(before))) == moved
    assert snapshot(root) == earlier


@given(model=st.sampled_from(MODELS), weight=st.integers(1, 100))
def test_roles_and_weights_change_the_route_alone(model: str, weight: int) -> None:
    plan = make_plan(model, "canary")
    assert plan.canary
    trees = [
        render(inputs(found))
        for found in (plan, shifted(plan, plan.canary.release, weight), promoted(plan, plan.canary.release, 1))
    ]
    services = [{path: text for path, text in tree.items() if f"/{model_slug(model)}/" in path} for tree in trees]
    assert services[0] == services[1] == services[2]
    assert len(services[0]) == 5  # two InferenceServices, a Job before each, and their kustomization


def test_a_route_without_a_canary_is_direct() -> None:
    plan = make_plan("pydoc-chat", "first")
    name = service_name(plan.model, plan.stable.release)
    assert route_of(plan) == {
        "upstreams": {
            name: {
                "url": f"http://{name}-predictor.nexus-dev.svc.cluster.local",
                "release": plan.stable.release,
                "apis": ["chat", "completions", "responses", "messages"],
                "prefix_cache": "tenant",
            }
        },
        "routes": {
            "pydoc-chat": {
                "rollout": rollout(plan),
                "strategy": "direct",
                "upstream": name,
                "timeouts": {"first_byte_seconds": 10, "chunk_seconds": 60, "total_seconds": 600},
            }
        },
    }


def test_a_canary_with_weight_gets_its_percent() -> None:
    plan = make_plan(MODELS[1], "canary")
    assert plan.canary
    target = route_of(plan)["routes"][MODELS[1]]
    assert (target["strategy"], target["percent"]) == ("canary", 20)
    assert target["primary"] == service_name(plan.model, plan.stable.release)
    assert target["canary"] == service_name(plan.model, plan.canary.release)


@pytest.mark.parametrize("state", STATES)
def test_every_release_of_a_plan_is_an_upstream_and_an_inference_service(state: State) -> None:
    plan = make_plan("pydoc-chat", state)
    names = {service_name(plan.model, release) for release in plan.releases}
    assert route_of(plan)["upstreams"].keys() == names
    tree = render(inputs(plan))
    assert {service_path("dev", plan.model, release) for release in plan.releases} <= tree.keys()
    kustomization = yaml.safe_load(tree["gitops/dev/pydoc-chat/kustomization.yaml"])
    assert kustomization["resources"] == sorted(f"{name}{part}.yaml" for name in names for part in ("", "-verify"))


def test_the_rollout_salt_stays_while_weights_change_and_no_longer() -> None:
    first, canary = make_plan("pydoc-chat", "first"), make_plan("pydoc-chat", "canary")
    assert canary.canary
    assert rollout(canary) == rollout(shifted(canary, canary.canary.release, 0))
    assert len({rollout(first), rollout(canary), rollout(make_plan("pydoc-chat", "promoted"))}) == 3


def test_the_inference_service_says_what_its_release_and_environment_say() -> None:
    plan, record = make_plan(MODELS[1], "first"), make_record(MODELS[1], 1)
    service = yaml.safe_load(render(inputs(plan))[service_path("dev", plan.model, plan.stable.release)])
    model = service["spec"]["predictor"]["model"]
    assert service["metadata"]["annotations"]["nexus.internal/model"] == MODELS[1]
    assert service["metadata"]["annotations"]["nexus.internal/release"] == plan.stable.release
    assert (
        model["storageUri"]
        == f"pvc://nexus-models/store/sha256/{record.content.artifact.digest.removeprefix('sha256:')}"
    )
    assert model["runtime"] == "nexus-vllm"
    assert f"--served-model-name={MODELS[1]}" in model["args"]
    assert model["args"][2:] == [
        "--max-model-len=1024",  # the model's own, below what the environment wishes for
        "--max-num-seqs=32",
        "--enable-prompt-tokens-details",
        "--tensor-parallel-size=1",
        "--gpu-memory-utilization=0.9",
    ]
    assert model["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert service["spec"]["predictor"]["nodeSelector"] == {"nexus.internal/gpu": "a100"}


def rendered_on(**gpu: Any) -> dict[str, Any]:
    """The InferenceService of a model of 8 billion parameters, on other GPUs."""
    made = make_record("pydoc-chat", 1)
    shape = {"layers": 32, "hidden": 4096, "intermediate": 14336, "heads": 32, "kv_heads": 8, "head": 128}
    large = made.content.shape.model_copy(update={**shape, "vocabulary": 128256, "context": 131072})
    record = made.model_copy(update={"content": made.content.model_copy(update={"shape": large})})
    pointer = make_pointer(record)
    plan = admitted(None, "pydoc-chat", pointer)
    settings = SETTINGS.model_copy(update={"gpu": SETTINGS.gpu.model_copy(update=gpu)})
    found = render(Inputs("dev", settings, {plan.model: plan}, {pointer.release: record}))
    service: dict[str, Any] = yaml.safe_load(found[service_path("dev", plan.model, pointer.release)])
    return service["spec"]["predictor"]["model"]


def test_a_model_gets_the_fewest_gpus_that_hold_it_and_no_more_than_a_pod_may_have() -> None:
    one, two = rendered_on(model="A100-80GB", count=8), rendered_on(model="L40S", count=8)
    assert [found["resources"]["limits"]["nvidia.com/gpu"] for found in (one, two)] == ["1", "1"]
    four = rendered_on(model="A10", count=8)
    assert "--tensor-parallel-size=2" in four["args"]
    assert four["resources"]["requests"]["nvidia.com/gpu"] == "2"
    short = rendered_on(model="A10", count=1)
    assert 512 <= int(short["args"][2].removeprefix("--max-model-len=")) < 4096


def test_a_release_is_not_rendered_for_gpus_that_do_not_compute_in_its_scheme() -> None:
    with pytest.raises(
        BadInput, match=r"it does not fit: W8A8 computes on compute capability 7\.5 to 9\.0, B200 has 10"
    ):
        rendered_on(model="B200")


def test_what_was_observed_changes_nothing_but_where_the_registry_has_it() -> None:
    plan = make_plan("pydoc-chat", "first")
    record = RECORDS[plan.stable.release]

    def observed(**fields: str) -> dict[str, str]:
        elsewhere = record.model_copy(update={"observed": record.observed.model_copy(update=fields)})
        return render(Inputs("dev", SETTINGS, {plan.model: plan}, {plan.stable.release: elsewhere}))

    assert observed(machine="another", run="another", time="2027-01-01T00:00:00Z") == render(inputs(plan))
    moved = observed(registry_uri="models:/pydoc-chat/7")
    service = service_path("dev", plan.model, plan.stable.release)
    assert {path for path, text in moved.items() if render(inputs(plan))[path] != text} == {service}
    assert yaml.safe_load(moved[service])["metadata"]["annotations"]["MODEL_URI"] == "models:/pydoc-chat/7"


def job_of(settings: Settings, *keys: PublicKey, environment: str = "dev") -> dict[str, Any] | None:
    plan = make_plan("pydoc-chat", "first")
    tree = render(Inputs(environment, settings, {plan.model: plan}, RECORDS, keys))
    name = service_path(environment, plan.model, plan.stable.release).replace(".yaml", "-verify.yaml")
    return yaml.safe_load(tree[name]) if name in tree else None


def test_a_job_proves_each_release_before_it_is_synced() -> None:
    content = make_record("pydoc-chat", 1).content
    job = job_of(SETTINGS, public(COMPANY), public(SUCCESSOR))
    assert job
    annotations = job["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/hook"] == "PreSync"
    assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation,HookSucceeded"
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["nexus", "prove"]
    assert f"--release={release_id(content)}" in container["args"]
    assert f"--statement={statement_digest(content)}" in container["args"]
    (keys,) = (one["value"] for one in container["env"] if one["name"] == "NEXUS_TRUSTED_KEYS")
    assert public_keys(keys, "NEXUS_SIGNING_KEY") == (public(COMPANY), public(SUCCESSOR))
    (store,) = (one["persistentVolumeClaim"] for one in pod["volumes"] if one["name"] == "store")
    assert store == {"claimName": "nexus-models", "readOnly": True}
    (mounted,) = (one for one in container["volumeMounts"] if one["name"] == "store")
    assert (mounted["readOnly"], mounted["subPath"]) == (True, "store")


def test_the_job_runs_the_release_s_image_by_its_digest_and_finds_the_store_at_the_volume_s_top() -> None:
    image = f"registry.example.org/nexus-release@sha256:{'0' * 64}"
    pods = SETTINGS.pods.model_copy(update={"images": SETTINGS.pods.images.model_copy(update={"release": image})})
    job = job_of(SETTINGS.model_copy(update={"pods": pods, "artifacts": "pvc://models"}))
    assert job
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    assert not [one for one in container["volumeMounts"] if "subPath" in one]


def test_only_where_signatures_are_checked_in_a_cluster_is_there_a_job() -> None:
    unchecked = SETTINGS.model_copy(update={"signatures": SignatureSettings(accept="unchecked", keys=())})
    assert job_of(unchecked) is None
    assert job_of(load_settings(ROOT, "local"), environment="local") is None
    with pytest.raises(BadInput, match="signatures are proved on a volume"):
        job_of(SETTINGS.model_copy(update={"artifacts": "s3://models"}))
    assert job_of(unchecked.model_copy(update={"artifacts": "s3://models"})) is None


@pytest.mark.parametrize("model", ["gateway", "namespace", "runtimes"])
def test_a_model_cannot_take_the_folder_of_a_part(model: str) -> None:
    record = make_record(model, 1)
    plan = admitted(None, model, make_pointer(record))
    with pytest.raises(BadInput, match="give it another name"):
        render(Inputs("dev", SETTINGS, {model: plan}, {plan.stable.release: record}))


def test_routes_that_no_config_map_would_hold_are_refused() -> None:
    record = make_record("m", 1)
    pointer = make_pointer(record)
    plans = {name: admitted(None, name, pointer) for name in (f"model-{number}" for number in range(2200))}
    with pytest.raises(BadInput, match="921600"):
        render(Inputs("dev", SETTINGS, plans, {pointer.release: record}))


def test_a_plan_needs_the_record_that_it_points_to(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    record = make_record("pydoc-chat", 1)
    plan = admitted(None, "pydoc-chat", make_pointer(record))
    path = tmp_path / plan_path("dev", plan.model)
    path.parent.mkdir()
    path.write_text(plan_text(plan))
    with pytest.raises(Missing, match=r"gitops/releases/pydoc-chat/.*no such release record"):
        load_inputs(tmp_path, "dev")
    plant_record(tmp_path, record)
    assert load_inputs(tmp_path, "dev").records == {plan.stable.release: record}
    (tmp_path / record_path("pydoc-chat", plan.stable.release)).write_text(record_text(record) + " ")
    with pytest.raises(DigestMismatch):
        load_inputs(tmp_path, "dev")


def test_a_record_of_another_model_is_refused(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    record = make_record("another", 1)
    plan = admitted(None, "pydoc-chat", make_pointer(record))
    for path, text in {
        record_path("pydoc-chat", plan.stable.release): record_text(record),
        plan_path("dev", "pydoc-chat"): plan_text(plan),
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    with pytest.raises(BadInput, match="it is a release of another"):
        load_inputs(tmp_path, "dev")


def test_writing_makes_the_folder_hold_the_tree_and_nothing_else(tmp_path: Path) -> None:
    plant_repository(tmp_path, "dev", "canary")
    kept = {path: (tmp_path / path).read_bytes() for path in snapshot(tmp_path) if not path.startswith("gitops/dev/")}
    stale = tmp_path / "gitops/dev/old-model/deep/old.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("left behind")
    changed = tmp_path / "gitops/dev/namespace/namespace.yaml"
    changed.write_text("edited by hand")
    (tmp_path / "gitops/dev/runtimes/nexus-vllm.yaml").unlink()
    files = render(load_inputs(tmp_path, "dev"))
    expected = (
        "gitops/dev/namespace/namespace.yaml",
        "gitops/dev/old-model/deep/old.yaml",
        "gitops/dev/runtimes/nexus-vllm.yaml",
    )
    assert differences(tmp_path, "dev", files) == expected
    assert write(tmp_path, "dev", files) == expected
    assert differences(tmp_path, "dev", files) == ()
    assert not (tmp_path / "gitops/dev/old-model").exists()
    assert {path: (tmp_path / path).read_bytes() for path in kept} == kept


def nexus_render(root: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--root", str(root)])


def test_the_command_renders_every_environment_and_then_finds_nothing_to_do(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    plant_record(tmp_path, make_record("pydoc-chat", 1))
    assert nexus_render(tmp_path).exit_code == 0
    assert {path.name for path in (tmp_path / "gitops").iterdir()} == {
        "dev",
        "local",
        "overlays",
        "prod",
        "releases",
        "staging",
    }
    again = nexus_render(tmp_path, "--check")
    assert again.exit_code == 0
    assert re.search(r"gitops/dev/: \d+ files, unchanged\n", again.output)
    assert "gitops/dev/: gateway.image is null" in again.output
    assert "gitops/local/: gateway.image" not in again.output


def test_the_check_names_each_difference_changes_nothing_and_ends_with_1(tmp_path: Path) -> None:
    plant_repository(tmp_path, "dev", "first")
    path = tmp_path / "gitops/dev/gateway/routes.d/pydoc-chat.yaml"
    path.write_text(path.read_text() + "# mine\n")
    before = snapshot(tmp_path)
    checked = nexus_render(tmp_path, "dev", "--check", "--json")
    assert checked.exit_code == 1
    assert json.loads(checked.stdout) == {"dev": {"gitops/dev/gateway/routes.d/pydoc-chat.yaml": "changed"}}
    assert "run `nexus render`" in checked.stderr
    assert snapshot(tmp_path) == before


def test_one_bad_environment_leaves_the_others_unwritten(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    (tmp_path / "environments/staging/settings.yaml").write_text("retain: many\n")
    assert isinstance(nexus_render(tmp_path).exception, BadInput)
    assert not (tmp_path / "gitops").exists()


def test_a_plan_that_goes_takes_its_files_along(tmp_path: Path) -> None:
    plant_repository(tmp_path, "dev", "first")
    (tmp_path / plan_path("dev", "pydoc-chat")).unlink()
    plant_plan(tmp_path, "dev", make_plan(MODELS[1], "first"))
    assert not (tmp_path / "gitops/dev/pydoc-chat").exists()
    assert (tmp_path / "gitops/dev" / model_slug(MODELS[1])).is_dir()


def snapshot(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
