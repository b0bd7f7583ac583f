"""`watches.yaml`: what Argo Workflows looks at by the clock, and the workflows that look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from hera.workflows import DAG, CronWorkflow, Parameter, Task, WorkflowTemplate, models
from pydantic import model_validator

from nexus_hera.commands import FLAGS, SMALL, Command, Found
from nexus_hera.containers import container
from nexus_hera.releases import Cron
from nexus_hera.workflow import RELEASE_OF_A_FILE
from nexus_release.config import Settings
from nexus_release.documents import parse_yaml, validated
from nexus_release.frozen import Frozen
from nexus_release.manifests.objects import labels
from nexus_release.names import EnvironmentName, Line, ModelName, model_slug
from nexus_release.pods import WORK, Pod, pod_with

CANARY, DRIFT = "canary", "drift"
TEMPLATES = {CANARY: "nexus-canary-step", DRIFT: "nexus-drift"}
_MODEL = "{{workflow.parameters.model}}"
_SECONDS = 1800
_DAY = 24 * 3600


class Watch(Frozen):
    """One CronWorkflow."""

    watch: Literal["canary", "drift"]
    model: ModelName
    environment: EnvironmentName
    schedule: Cron
    """In UTC."""
    spec: Line = ""
    """Of drift: path on main of the release file that is run where a release is due."""

    @model_validator(mode="after")
    def _released(self) -> Watch:
        if (self.watch == "drift") != bool(self.spec):
            raise ValueError("spec names the release that drift asks for; a canary has none")
        return self


class _Watches(Frozen):
    watches: tuple[Watch, ...]

    @model_validator(mode="after")
    def _each_once(self) -> _Watches:
        seen = [(one.watch, one.model, one.environment) for one in self.watches]
        if twice := sorted({one for one in seen if seen.count(one) > 1}):
            raise ValueError(f"two entries are one watch: {twice[0]}")
        return self


def read_watches(path: Path) -> tuple[Watch, ...]:
    """None where there is no such file. Raises BadInput that names the field."""
    document = {"watches": parse_yaml(path.read_bytes(), path.name) or ()} if path.exists() else {"watches": ()}
    return validated(_Watches, document, lambda _: path.name).watches


def watch_commands(environment: str, settings: Settings) -> dict[str, Command]:
    return {CANARY: _canary_command(environment, settings), DRIFT: _drift_command(environment, settings)}


def watch_templates(environment: str, settings: Settings) -> list[WorkflowTemplate]:
    """A step of a canary, and a look at drift with the release that follows it."""
    canary, drift = watch_commands(environment, settings).values()
    with _template(CANARY, CANARY, [Parameter(name="model")], settings) as one:
        container(canary)
    taken = [Parameter(name="model"), Parameter(name="spec"), Parameter(name="dataset", value="")]
    with _template(DRIFT, "watch", taken, settings) as other:
        look = container(drift)
        with DAG(name="watch"):
            Task(name=DRIFT, template=look)
            Task(
                name="release",
                template_ref=models.TemplateRef(name=RELEASE_OF_A_FILE, template="ask-and-release"),
                depends=f"{DRIFT}.Succeeded",
                when="{{tasks.drift.outputs.parameters.due}} == true",
            )
    return [one, other]


def watching(watch: Watch, settings: Settings) -> CronWorkflow:
    """What was missed is not made up for, and no look begins before the last one has ended."""
    given = {"model": watch.model, **({"spec": watch.spec} if watch.spec else {})}
    return CronWorkflow(
        name=f"{watch.watch}-{model_slug(watch.model)}",
        namespace=settings.pods.namespace,
        labels=labels(),
        schedules=[watch.schedule],
        timezone="UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=300,
        workflow_template_ref=models.WorkflowTemplateRef(name=TEMPLATES[watch.watch]),
        arguments=[Parameter(name=name, value=value) for name, value in given.items()],
    )


def _canary_command(environment: str, settings: Settings) -> Command:
    words = ("canary", "step", _MODEL, f"--env={environment}")
    pod = pod_with(("read:git", "write:git", "read:figures"), SMALL, "release", settings)
    return Command(CANARY, words, _pushing_by(pod, settings.pods.secrets.canary), retries=1, seconds=600)


def _drift_command(environment: str, settings: Settings) -> Command:
    """The gateways' decision logs are copied to the claim by who ships logs."""
    words = (
        "drift",
        _MODEL,
        f"--env={environment}",
        f"--decisions={WORK}/decisions",
        "--from-main",
        f"--flags={FLAGS}",
    )
    pod = pod_with(("read:git",), SMALL, "release", settings)
    due = Found("due", f"{FLAGS}/due", default="false")
    return Command(DRIFT, words, pod, retries=1, seconds=_SECONDS, found=(due,))


def _pushing_by(pod: Pod, secret: str) -> Pod:
    """With a credential of its own, which may do less than that of releases."""
    own = (replace(one, secret=secret) if one.name == "NEXUS_PUSH_REMOTE" else one for one in pod.secrets)
    return replace(pod, secrets=tuple(own))


def _template(watch: str, entrypoint: str, taken: list[Parameter], settings: Settings) -> WorkflowTemplate:
    return WorkflowTemplate(
        name=TEMPLATES[watch],
        namespace=settings.pods.namespace,
        labels=labels(),
        entrypoint=entrypoint,
        arguments=taken,
        pod_gc=models.PodGC(strategy="OnPodSuccess"),
        ttl_strategy=models.TTLStrategy(seconds_after_success=_DAY, seconds_after_failure=7 * _DAY),
    )
