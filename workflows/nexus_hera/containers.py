"""A command of `nexus` as a Container template: its pod, its account, its tries and its deadline."""

from __future__ import annotations

from hera.workflows import Container, Parameter, RetryStrategy, models

from nexus_hera.commands import TMP, Command, Found
from nexus_release.manifests.objects import PREFIX, labels
from nexus_release.pods import USER, WORK, Pod

COMMAND = f"{PREFIX}command"
"""Label of a pod: the command that it runs. Network policies select by it."""
EXECUTOR = "release-executor"
"""Account of Argo's own containers in each pod."""

_BAD_INPUT = 2  # exit status


def account(command: str) -> str:
    """The ServiceAccount of a command's pods. It may do nothing, and its token is not mounted."""
    return f"release-{command}"


def container(command: Command) -> Container:
    return Container(
        name=command.name,
        labels=labels(**{COMMAND: command.name}),
        image=command.pod.image,
        image_pull_policy="IfNotPresent",
        command=["nexus"],
        args=list(command.words),
        inputs=[Parameter(name=name) for name in command.given],
        outputs=[_output(found) for found in command.found],
        env=_variables(command.pod),
        resources=models.ResourceRequirements(requests=_amounts(command.pod), limits=_amounts(command.pod)),
        node_selector=dict(command.pod.node_selector) or None,
        tolerations=[models.Toleration(**toleration.model_dump()) for toleration in command.pod.tolerations] or None,
        volumes=_volumes(command.pod),
        volume_mounts=[
            models.VolumeMount(name="work", mount_path=WORK),
            models.VolumeMount(name="tmp", mount_path=TMP),
        ],
        active_deadline_seconds=command.seconds,
        retry_strategy=_retries(command.retries),
        service_account_name=account(command.name),
        automount_service_account_token=False,
        executor=models.ExecutorConfig(service_account_name=EXECUTOR),
        pod_security_context=_of_the_pod(),
        security_context=_of_the_container(),
        termination_message_policy="FallbackToLogsOnError",  # so that a failed node's message says why
    )


def _output(found: Found) -> Parameter:
    return Parameter(name=found.name, value_from=models.ValueFrom(path=found.path, default=found.default))


def _variables(pod: Pod) -> list[models.EnvVar]:
    told = [models.EnvVar(name=name, value=value) for name, value in sorted(pod.variables.items())]
    shown = [
        models.EnvVar(
            name=variable.name,
            value_from=models.EnvVarSource(
                secret_key_ref=models.SecretKeySelector(name=variable.secret, key=variable.name)
            ),
        )
        for variable in pod.secrets
    ]
    return told + shown


def _amounts(pod: Pod) -> dict[str, models.Quantity]:
    return {name: models.Quantity(root=amount) for name, amount in pod.amounts.items()}


def _volumes(pod: Pod) -> list[models.Volume]:
    claim = models.PersistentVolumeClaimVolumeSource(claim_name=pod.claim)
    return [
        models.Volume(name="work", persistent_volume_claim=claim),
        models.Volume(name="tmp", empty_dir=models.EmptyDirVolumeSource()),
    ]


def _retries(limit: int) -> RetryStrategy:
    """A pod that is lost, late or ends with an error is tried again; bad input is not, since it would stay bad."""
    return RetryStrategy(
        limit=limit,
        retry_policy="Always",
        expression=f"asInt(lastRetry.exitCode) != {_BAD_INPUT}",
        backoff=models.Backoff(duration="30s", factor=models.IntOrString(root=2), cap="10m"),
    )


def _of_the_pod() -> models.PodSecurityContext:
    return models.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        fs_group_change_policy="OnRootMismatch",  # the claim holds millions of files in time
        seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
    )


def _of_the_container() -> models.SecurityContext:
    return models.SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=models.Capabilities(drop=["ALL"]),
    )
