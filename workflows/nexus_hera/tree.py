"""The folder that a cluster applies: a pure function of the graph, an environment's settings and the two lists of what
runs by the clock: `releases.yaml` and `watches.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hera.workflows import CronWorkflow, WorkflowTemplate

from nexus_hera.access import access
from nexus_hera.commands import GIVEN, ask_command, step_command, summary_command
from nexus_hera.network import network
from nexus_hera.releases import Entry, read_entries
from nexus_hera.watches import read_watches, watch_commands, watch_templates, watching
from nexus_hera.workflow import release, release_of_a_file, scheduled
from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput
from nexus_release.graph import NODES
from nexus_release.journal import write_whole
from nexus_release.manifests.namespace import namespace
from nexus_release.manifests.objects import Object, application, labels
from nexus_release.spec import read_spec

RELEASES = "workflows/releases.yaml"
WATCHES = "workflows/watches.yaml"


def tree_path(environment: str) -> str:
    return f"workflows/{environment}"


def rendered(root: Path, environment: str) -> dict[str, str]:
    """{path under the repository's root: text}, sorted by path. Raises BadInput or Missing."""
    settings = load_settings(root, environment)
    entries = [entry for entry in read_entries(root / RELEASES) if entry.environment == environment]
    space = settings.pods.namespace
    commands = [
        ask_command(environment, settings),
        *(step_command(name, settings) for name in NODES),
        summary_command(GIVEN, settings),
        *watch_commands(environment, settings).values(),
    ]
    objects = {
        "namespace.yaml": namespace(space),
        f"persistentvolumeclaim-{settings.pods.work_claim}.yaml": _claim(settings),
        **access([command.name for command in commands], space),
        **network(commands, settings.pods.api_server, space),
        **_workflows(root, entries, environment, settings),
    }
    return dict(sorted(application(tree_path(environment), objects).items()))


def differences(root: Path, environment: str) -> tuple[str, ...]:
    """The paths that are not what they should be, sorted."""
    files = rendered(root, environment)
    found = {path.relative_to(root).as_posix(): path for path in (root / tree_path(environment)).glob("*")}
    stale = found.keys() - files.keys()
    changed = {path for path, text in files.items() if path not in found or found[path].read_text() != text}
    return tuple(sorted(stale | changed))


def write(root: Path, environment: str) -> None:
    files = rendered(root, environment)
    for path in differences(root, environment):
        if path in files:
            write_whole(root / path, files[path])
        else:
            (root / path).unlink()


def _workflows(root: Path, entries: Iterable[Entry], environment: str, settings: Settings) -> Mapping[str, Object]:
    crons = _scheduled(root, entries, settings)
    watches = [watch for watch in read_watches(root / WATCHES) if watch.environment == environment]
    crons += [watching(watch, settings) for watch in watches]
    built = [release(settings), release_of_a_file(environment, settings), *watch_templates(environment, settings)]
    return {
        **{f"workflowtemplate-{one.name}.yaml": _object(one) for one in built},
        **{f"cronworkflow-{one.name}.yaml": _object(one) for one in crons},
    }


def _scheduled(root: Path, entries: Iterable[Entry], settings: Settings) -> list[CronWorkflow]:
    """Named by their models. Raises BadInput for a second of one model."""
    models: set[str] = set()
    crons: list[CronWorkflow] = []
    for entry in entries:
        model = read_spec(root / entry.spec).model
        if model in models:
            raise BadInput("releases", entry.spec, f"one entry of {entry.environment} releases {model} already")
        models.add(model)
        crons.append(scheduled(entry, model, settings))
    return crons


def _object(built: WorkflowTemplate | CronWorkflow) -> Object:
    return dict(built.to_dict())


def _claim(settings: Settings) -> Object:
    pods = settings.pods
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": pods.work_claim,
            "namespace": pods.namespace,
            "labels": labels(),
            "annotations": {"argocd.argoproj.io/sync-options": "Prune=false"},  # the models are on it
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": pods.work_size}},
            **({"storageClassName": pods.storage_class} if pods.storage_class else {}),
        },
    }
