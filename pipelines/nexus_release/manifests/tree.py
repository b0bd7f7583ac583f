"""The rendered tree of an environment, `gitops/<env>/`: a pure function of settings, plans and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_release.config import Settings, load_settings
from nexus_release.data_declaration import objection
from nexus_release.errors import BadInput
from nexus_release.journal import write_whole
from nexus_release.manifests.dashboards import dashboards
from nexus_release.manifests.disaggregated import halves_network, llm_inference_service
from nexus_release.manifests.engine_monitor import engine_monitor
from nexus_release.manifests.gateway import gateway
from nexus_release.manifests.inference import inference_service
from nexus_release.manifests.namespace import namespace
from nexus_release.manifests.network import network
from nexus_release.manifests.objects import Object, application
from nexus_release.manifests.pods_by_name import pods_by_name
from nexus_release.manifests.presync import presync
from nexus_release.manifests.redis import redis
from nexus_release.manifests.runtimes import cache_claim, serving_runtime
from nexus_release.manifests.scaling import refuse_two_scalers, scaled_object
from nexus_release.manifests.watching import watching
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan, read_plans
from nexus_release.pod_groups import disaggregation
from nexus_release.policies import Policies, read_policies
from nexus_release.record import Record, read_record, release_id
from nexus_release.trust.keys import PublicKey, read_public_key

PARTS = ("dashboards", "gateway", "namespace", "network", "redis", "runtimes", "watching")
"""Folders of an environment that are no models."""


@dataclass(frozen=True)
class Inputs:
    """All that a rendered tree follows from, besides the renderer."""

    environment: str
    settings: Settings
    plans: Mapping[str, Plan]
    """By model."""
    records: Mapping[str, Record]
    """By release id: every release that a plan names."""
    keys: tuple[PublicKey, ...] = ()
    """Those whose signatures the environment trusts."""
    policies: Policies | None = None
    """What callers may ask for; None where the environment says nothing of them."""


def load_inputs(root: Path, environment: str) -> Inputs:
    """Reads and proves what the tree is made of. Raises BadInput, Missing or DigestMismatch."""
    plans = read_plans(root, environment)
    records = {
        pointer.release: _record(root, plan.model, pointer.release, pointer.record)
        for plan in plans.values()
        for pointer in plan.pointers
    }
    settings = load_settings(root, environment)
    _allowed(environment, settings, records)
    keys = tuple(read_public_key(root / "environments", path) for path in settings.signatures.keys)
    return Inputs(environment, settings, plans, records, keys, read_policies(root, environment))


def render(inputs: Inputs) -> dict[str, str]:
    """{path under the repository's root: text}, sorted by path. Raises BadInput for what cannot be rendered."""
    top, settings = tree_path(inputs.environment), inputs.settings
    plans = [inputs.plans[model] for model in sorted(inputs.plans)]
    folders = {
        f"{top}/namespace": {"namespace.yaml": namespace(settings.namespace)},
        f"{top}/runtimes": _runtimes(settings),
        **(_of_a_cluster(top, inputs.environment, settings) if settings.in_cluster else {}),
        **{f"{top}/{_slug(top, plan)}": _model(plan, inputs) for plan in plans},
    }
    refuse_two_scalers(body for objects in folders.values() for body in objects.values())
    files = gateway(f"{top}/gateway", plans, settings, inputs.policies)
    for folder, objects in folders.items():
        files |= application(folder, objects)
    return dict(sorted(files.items()))


def _of_a_cluster(top: str, environment: str, settings: Settings) -> dict[str, dict[str, Object]]:
    return {
        f"{top}/dashboards": dashboards(environment, settings),
        f"{top}/network": network(settings),
        f"{top}/redis": redis(settings),
        **({f"{top}/watching": rules} if (rules := watching(environment, settings)) else {}),
    }


def write(root: Path, environment: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """Makes the environment's folder hold `files` and nothing else; returns the paths that changed, sorted.

    Each file is written whole; a run that is cut short is mended by the next.
    """
    changed = compare(root, environment, files)
    for path, change in changed.items():
        if change == "stale":
            _remove(root, environment, path)
        else:
            write_whole(root / path, files[path])
    return tuple(changed)


def differences(root: Path, environment: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """The paths that `write` would change, sorted."""
    return tuple(compare(root, environment, files))


def compare(root: Path, environment: str, files: Mapping[str, str]) -> dict[str, str]:
    """Path -> `new`, `changed` or `stale`, sorted, for each file that is not as in `files`."""
    top = tree_path(environment)
    found = {path.relative_to(root).as_posix(): path for path in (root / top).rglob("*") if not path.is_dir()}
    changes = dict.fromkeys(found.keys() - files.keys(), "stale")
    for path, text in files.items():
        if path not in found:
            changes[path] = "new"
        elif found[path].is_symlink() or found[path].read_bytes() != text.encode():
            changes[path] = "changed"
    return dict(sorted(changes.items()))


def tree_path(environment: str) -> str:
    return f"gitops/{environment}"


def service_path(environment: str, model: str, release: str) -> str:
    """The object that KServe runs a release by, under the repository's root."""
    return f"{tree_path(environment)}/{model_slug(model)}/{service_name(model, release)}.yaml"


def _runtimes(settings: Settings) -> dict[str, Object]:
    return {
        f"{settings.runtime}.yaml": serving_runtime(settings),
        **cache_claim(settings),
        **engine_monitor(settings),
    }


def _slug(top: str, plan: Plan) -> str:
    slug = model_slug(plan.model)
    if slug in PARTS:
        raise BadInput("model", plan.model, f"{top}/{slug}/ is a part of every environment; give it another name")
    return slug


def _model(plan: Plan, inputs: Inputs) -> dict[str, Object]:
    objects: dict[str, Object] = {}
    for release in plan.releases:
        record = inputs.records[release]
        objects |= _served(record, inputs.settings)
        objects |= presync(record.content, inputs.settings, inputs.keys)
    return objects


def _served(record: Record, settings: Settings) -> dict[str, Object]:
    """What runs a release: pods of one kind, or of two."""
    model, release = record.content.model, release_id(record.content)
    service = service_name(model, release)
    if disaggregation(model, release, settings) is None:
        one_kind = {f"{service}.yaml": inference_service(record, settings)}
        return one_kind | scaled_object(service, model, settings) | pods_by_name(model, release, settings)
    return {f"{service}.yaml": llm_inference_service(record, settings)} | halves_network(model, release, settings)


def _record(root: Path, model: str, release: str, digest: str) -> Record:
    record = read_record(root, model, release, digest)
    if record.content.model != model:
        raise BadInput(f"{model}: release", release, f"it is a release of {record.content.model}")
    return record


def _allowed(environment: str, settings: Settings, records: Mapping[str, Record]) -> None:
    """Closed: an environment is not rendered with a model whose data may not be used there. Not by the day: what runs
    does not stop at midnight, `nexus retention` tells of it."""
    gate = settings.gates.data
    for release, record in sorted(records.items()):
        content = record.content
        if refusal := objection(content.dataset.declaration, gate.declaration, gate.purpose, environment):
            raise BadInput(f"{content.model}: release", release[:12], refusal)


def _remove(root: Path, environment: str, path: str) -> None:
    top = root / tree_path(environment)
    file = root / path
    file.unlink()
    for folder in file.relative_to(top).parents:
        if folder != Path() and not any((top / folder).iterdir()):
            (top / folder).rmdir()
