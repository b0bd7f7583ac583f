"""Runs rendered WorkflowTemplates as Argo would, each pod a process: what is tested is the YAML that a cluster gets.

Whatever it does not know, it refuses. Pods run one after the other, and a pause before another try takes no time. A
mount is a folder whose path stands in the template's own words for the mount's; a process can still see the rest of
the machine, but its variables are its pod's alone.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .argo_text import Unresolved, dated, evaluated, filled, holds, replaced

Object = dict[str, Any]

_SPEC = {"activeDeadlineSeconds", "arguments", "entrypoint", "onExit", "podGC", "templates", "ttlStrategy"}
_POD = {
    *("name", "container", "inputs", "outputs", "metadata", "volumes", "retryStrategy", "activeDeadlineSeconds"),
    *("serviceAccountName", "automountServiceAccountToken", "executor", "securityContext", "nodeSelector"),
    "tolerations",
}
_CONTAINER = {
    *("image", "imagePullPolicy", "command", "args", "env", "resources", "securityContext", "volumeMounts"),
    "terminationMessagePolicy",
}
_DAG = {"name", "dag", "inputs", "synchronization"}
_TASK = {"name", "template", "templateRef", "arguments", "depends", "when"}
_RETRY = {"limit", "retryPolicy", "expression", "backoff"}
_LATE = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True)
class Node:
    """A task, or where it has a number a try of it."""

    name: str
    template: str
    phase: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


@dataclass
class Run:
    """A workflow, while it runs and when it has ended."""

    name: str
    phase: str = "Running"
    nodes: list[Node] = field(default_factory=list)
    locks: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    """Node -> what its process wrote."""

    def phases(self) -> dict[str, str]:
        """Of the tasks; of one with tries, of them all together."""
        return {node.name: node.phase for node in self.nodes if "(" not in node.name}

    def tries(self, task: str) -> int:
        return len([node for node in self.nodes if node.name.startswith(f"{task}(")])


class Argo:
    def __init__(
        self,
        objects: Iterable[Object],
        folder: Path,
        claims: Mapping[str, Path],
        secrets: Mapping[str, Mapping[str, str]],
        image: str,
    ) -> None:
        """`image`: the PATH of every image. `claims` and `secrets` are by name."""
        self.objects = {(one["kind"], one["metadata"]["name"]): one for one in objects}
        self.folder, self.claims, self.secrets, self.image = folder, claims, secrets, image

    def submit(self, template: str, name: str, **arguments: str) -> Run:
        """As `argo submit --from workflowtemplate/TEMPLATE`."""
        spec = self.objects["WorkflowTemplate", template]["spec"]
        _known(spec, _SPEC)
        taken = {one["name"]: arguments.pop(one["name"], one.get("value")) for one in spec["arguments"]["parameters"]}
        assert not arguments, f"{template} takes no {[*arguments]}"
        assert None not in taken.values(), f"{template} needs {taken}"
        run = Run(name)
        scope = {f"workflow.parameters.{key}": value for key, value in taken.items()}
        scope |= {"workflow.name": name, **dated()}
        root = self._template(run, template, spec["entrypoint"], name, taken, scope)
        scope |= {"workflow.status": root.phase, "workflow.failures": _failures(run.nodes)}
        end = self._template(run, template, spec["onExit"], f"{name}.onExit", taken, scope)
        run.phase = root.phase if end.phase == "Succeeded" else end.phase
        return run

    def tick(self, cron: str, name: str) -> Run:
        """What a CronWorkflow submits."""
        spec = self.objects["CronWorkflow", cron]["spec"]["workflowSpec"]
        _known(spec, {"workflowTemplateRef", "arguments"})
        arguments = {one["name"]: one["value"] for one in spec["arguments"]["parameters"]}
        return self.submit(spec["workflowTemplateRef"]["name"], name, **arguments)

    def _template(
        self, run: Run, owner: str, name: str, node: str, given: Mapping[str, str], scope: dict[str, str]
    ) -> Node:
        """Runs a template of the WorkflowTemplate `owner` as `node`."""
        (body,) = [one for one in self.objects["WorkflowTemplate", owner]["spec"]["templates"] if one["name"] == name]
        inputs = {f"inputs.parameters.{one['name']}": given[one["name"]] for one in _parameters(body.get("inputs"))}
        if "dag" in body:
            _known(body, _DAG)
            run.locks += [filled(one["name"], scope | inputs) for one in _locks(body)]
            done = self._dag(run, owner, body["dag"], node, scope, inputs)
        else:
            _known(body, _POD)
            done = self._tries(run, body, node, scope, inputs)
        run.nodes.append(done)
        return done

    def _dag(
        self, run: Run, owner: str, dag: Object, node: str, scope: dict[str, str], inputs: Mapping[str, str]
    ) -> Node:
        _known(dag, {"tasks"})
        waiting, found = list(dag["tasks"]), dict[str, str]()
        phases: dict[str, str] = {}
        while waiting:
            task = next(one for one in waiting if _names(one.get("depends", "")) <= phases.keys())
            waiting.remove(task)
            _known(task, _TASK)
            reference = task.get("templateRef", {"name": owner, "template": task.get("template")})
            done = self._task(run, task, reference, phases, scope, {**inputs, **found})
            phases[task["name"]] = done.phase
            outputs = {**self._defaults(reference), **done.outputs}
            found |= {f"tasks.{task['name']}.outputs.parameters.{key}": value for key, value in outputs.items()}
        failed = [name for name, phase in phases.items() if phase in ("Failed", "Error")]
        return Node(node, dag.get("name", ""), "Failed" if failed else "Succeeded", message="".join(failed))

    def _task(
        self,
        run: Run,
        task: Object,
        reference: Mapping[str, str],
        phases: Mapping[str, str],
        scope: dict[str, str],
        local: Mapping[str, str],
    ) -> Node:
        name, template = task["name"], reference["template"]
        if not holds(task.get("depends", ""), {f"{one}.{phase}": True for one, phase in phases.items()}):
            done = Node(name, template, "Omitted")
        elif not evaluated(filled(task.get("when", "true"), scope | local), {}):
            done = Node(name, template, "Skipped")
        else:
            given = {one["name"]: filled(one["value"], scope | local) for one in _parameters(task.get("arguments"))}
            return self._template(run, reference["name"], template, name, given, scope)
        run.nodes.append(done)
        return done

    def _defaults(self, reference: Mapping[str, str]) -> dict[str, str]:
        templates = self.objects["WorkflowTemplate", reference["name"]]["spec"]["templates"]
        (body,) = [one for one in templates if one["name"] == reference["template"]]
        outputs = _parameters(body.get("outputs"))
        return {one["name"]: one["valueFrom"]["default"] for one in outputs if "default" in one["valueFrom"]}

    def _tries(self, run: Run, body: Object, node: str, scope: dict[str, str], inputs: Mapping[str, str]) -> Node:
        retry = body["retryStrategy"]
        _known(retry, _RETRY)
        assert retry["retryPolicy"] == "Always"
        for attempt in range(int(retry["limit"]) + 1):
            done, status = self._pod(run, body, f"{node}({attempt})", scope, inputs)
            run.nodes.append(done)
            last = {"lastRetry.exitCode": str(status), "lastRetry.status": done.phase}
            if done.phase == "Succeeded" or not evaluated(retry["expression"], last):
                break
        message = "" if done.phase == "Succeeded" else "No more retries left"
        return Node(node, body["name"], done.phase, done.outputs, message)

    def _pod(
        self, run: Run, body: Object, node: str, scope: dict[str, str], inputs: Mapping[str, str]
    ) -> tuple[Node, int]:
        container = body["container"]
        _known(container, _CONTAINER)
        place = self.folder / run.name / node
        root = place / "root"
        root.mkdir(parents=True)
        mounts = self._mounts(body, place)
        known = scope | inputs
        words = [filled(replaced(word, mounts), known) for word in [*container["command"], *container["args"]]]
        environment = dict(self._variables(container["env"], mounts))
        temporary = {"TMPDIR": str(mounts["/tmp"])}  # what a process finds by itself in a pod
        status, said = _process(words, root, environment | temporary | {"PATH": self.image}, body)
        run.logs[node] = said
        assert not [*root.iterdir()], f"{node} has written outside of its volumes"
        if status:
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
            return Node(node, body["name"], "Failed", message=f"Error (exit code {status}): {said[-2048:]}"), status
        return Node(node, body["name"], "Succeeded", dict(_outputs(body, mounts, known))), 0

    def _mounts(self, body: Object, place: Path) -> dict[str, Path]:
        volumes = {}
        for volume in body["volumes"]:
            _known(volume, {"name", "persistentVolumeClaim", "emptyDir"})
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            volumes[volume["name"]] = self.claims[claim] if claim else place / volume["name"]
            volumes[volume["name"]].mkdir(exist_ok=True)
        return {one["mountPath"]: volumes[one["name"]] for one in body["container"]["volumeMounts"]}

    def _variables(self, declared: Iterable[Object], mounts: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
        """A Secret or a key that is not there is a KeyError; in a cluster the pod waits for it until it is late."""
        for one in declared:
            _known(one, {"name", "value", "valueFrom"})
            if "value" in one:
                yield one["name"], replaced(one["value"], mounts)
            else:
                reference = one["valueFrom"]["secretKeyRef"]
                yield one["name"], self.secrets[reference["name"]][reference["key"]]


def _process(words: list[str], root: Path, environment: Mapping[str, str], body: Object) -> tuple[int, str]:
    """Its exit status, as a shell has it where a signal has ended it, and what it wrote or why it was ended."""
    process = subprocess.Popen(
        words, cwd=root, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = process.communicate(timeout=body["activeDeadlineSeconds"])
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        said = _LATE
    status = process.returncode
    return 128 - status if status < 0 else status, said.strip()


def _outputs(body: Object, mounts: Mapping[str, Path], known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for one in _parameters(body.get("outputs")):
        _known(one, {"name", "valueFrom"})
        _known(one["valueFrom"], {"path", "default"})
        path = Path(filled(replaced(one["valueFrom"]["path"], mounts), known))
        if not path.exists() and "default" not in one["valueFrom"]:
            raise Unresolved(f"{body['name']}: {path} is not there, and has no default")
        yield one["name"], path.read_text().rstrip("\n") if path.exists() else one["valueFrom"]["default"]


def _failures(nodes: Iterable[Node]) -> str:
    """JSON in a string of JSON, as the controller has it."""
    failed = [
        {"displayName": one.name, "templateName": one.template, "phase": one.phase, "message": one.message}
        for one in nodes
        if one.phase in ("Failed", "Error")
    ]
    return json.dumps(json.dumps(failed or None))


def _parameters(holder: Object | None) -> list[Object]:
    _known(holder or {}, {"parameters"})
    found: list[Object] = (holder or {}).get("parameters", [])
    return found


def _locks(body: Object) -> list[Object]:
    _known(body.get("synchronization", {}), {"mutexes"})
    found: list[Object] = body.get("synchronization", {}).get("mutexes", [])
    return found


def _names(depends: str) -> set[str]:
    return {word.partition(".")[0] for word in depends.split(" && ") if word}


def _known(document: Mapping[str, Any], keys: set[str]) -> None:
    assert document.keys() <= keys, f"not understood: {sorted(document.keys() - keys)}"
