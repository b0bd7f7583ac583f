"""The release as WorkflowTemplates: one that is given its parameters, one that asks a release file for them."""

from __future__ import annotations

from collections.abc import Sequence

from hera.workflows import DAG, Container, CronWorkflow, Parameter, Task, WorkflowTemplate, models

from nexus_hera.commands import ASK, ASKED, GIVEN, SUMMARY, ask_command, step_command, summary_command
from nexus_hera.containers import container
from nexus_hera.releases import Entry
from nexus_release.config import Settings
from nexus_release.graph import NODES, Node, waits_for
from nexus_release.manifests.objects import labels
from nexus_release.names import model_slug

RELEASE = "nexus-release"
RELEASE_OF_A_FILE = "nexus-release-of-a-file"

_STEPS = "release"
_ASK_AND_RELEASE = "ask-and-release"
_ONE_AT_A_TIME = "release/{{=jsonpath(inputs.parameters.params, '$.model')}}"
_LONGEST_SECONDS = sum(node.step.timeout_seconds * (node.step.retries + 1) for node in NODES.values())
_DAY = 24 * 3600


def release(settings: Settings) -> WorkflowTemplate:
    """Takes `params`, one line of JSON as `nexus params` prints it."""
    with _template(RELEASE, _STEPS, [Parameter(name="params")], settings) as template:
        _lay_steps([container(step_command(name, settings)) for name in NODES])
        container(summary_command(GIVEN, settings))
    return template


def release_of_a_file(environment: str, settings: Settings) -> WorkflowTemplate:
    """Takes `spec`, the path of a release file on main, and perhaps `dataset`."""
    taken = [Parameter(name="spec"), Parameter(name="dataset", value="")]
    with _template(RELEASE_OF_A_FILE, _ASK_AND_RELEASE, taken, settings) as template:
        ask = container(ask_command(environment, settings))
        container(summary_command(ASKED, settings))
        with DAG(name=_ASK_AND_RELEASE):
            Task(name=ASK, template=ask)
            Task(
                name=_STEPS,
                template_ref=models.TemplateRef(name=RELEASE, template=_STEPS),
                arguments=[Parameter(name="params", value="{{tasks.ask.outputs.parameters.params}}")],
                depends=f"{ASK}.Succeeded",
            )
    return template


def scheduled(entry: Entry, model: str, settings: Settings) -> CronWorkflow:
    """What was missed while the controller was down for more than an hour is not made up for."""
    return CronWorkflow(
        name=f"release-{model_slug(model)}",
        namespace=settings.pods.namespace,
        labels=labels(),
        schedules=[entry.schedule],
        timezone="UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=3600,
        workflow_template_ref=models.WorkflowTemplateRef(name=RELEASE_OF_A_FILE),
        arguments=[Parameter(name="spec", value=entry.spec), Parameter(name="dataset", value=entry.dataset)],
    )


def _template(name: str, entrypoint: str, taken: Sequence[Parameter], settings: Settings) -> WorkflowTemplate:
    return WorkflowTemplate(
        name=name,
        namespace=settings.pods.namespace,
        labels=labels(),
        entrypoint=entrypoint,
        on_exit=SUMMARY,
        arguments=list(taken),
        active_deadline_seconds=_LONGEST_SECONDS,
        pod_gc=models.PodGC(strategy="OnPodSuccess", delete_delay_duration="1h"),
        ttl_strategy=models.TTLStrategy(seconds_after_success=7 * _DAY, seconds_after_failure=30 * _DAY),
    )


def _lay_steps(containers: Sequence[Container]) -> None:
    mutex = models.Synchronization(mutexes=[models.Mutex(name=_ONE_AT_A_TIME)])
    with DAG(name=_STEPS, inputs=[Parameter(name="params")], synchronization=mutex):
        for (name, node), template in zip(NODES.items(), containers, strict=True):
            Task(
                name=name,
                template=template,
                arguments=[Parameter(name="params", value="{{inputs.parameters.params}}")],
                depends=" && ".join(f"{earlier}.Succeeded" for earlier in sorted(waits_for(node))) or None,
                when=_guard(node),
            )


def _guard(node: Node) -> str | None:
    heads = (guard.partition(".") for guard in node.when)
    return " && ".join(f"{{{{tasks.{head}.outputs.parameters.{field}}}}} == true" for head, _, field in heads) or None
