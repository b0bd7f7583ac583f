"""The release as data: which steps there are, what feeds each, and when each runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus_release.capacity.target import FitGate, Target
from nexus_release.data_declaration import Declaration
from nexus_release.digests import Digest
from nexus_release.documents import validated_json
from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, Line, ModelName
from nexus_release.step import Resources, Step
from nexus_release.steps.describe import DescribeIn, DescribeOut, describe
from nexus_release.steps.evaluate import EvaluateIn, EvaluateOut, QualityGate, evaluate
from nexus_release.steps.fit import FitIn, FitOut, fit
from nexus_release.steps.inspect import ArtifactGate, InspectIn, InspectOut, inspect
from nexus_release.steps.propose import ProposeIn, ProposeOut, propose
from nexus_release.steps.quantize import QuantizeIn, QuantizeOut, QuantizeRecipe, quantize
from nexus_release.steps.register import RegisterIn, RegisterOut, register
from nexus_release.steps.render import RenderIn, RenderOut, render
from nexus_release.steps.sign import SignIn, SignOut, sign
from nexus_release.steps.train import TrainIn, TrainOut, TrainRecipe, train
from nexus_release.steps.validate import DataGate, ValidateIn, ValidateOut, validate
from nexus_release.suite import Suite


class ReleaseParams(Frozen):
    """What a person asks for. Everything else a release finds out."""

    model: ModelName
    environment: EnvironmentName
    dataset: Line
    data: Declaration | None = None
    """What is declared of the dataset."""
    train: TrainRecipe
    quantize: QuantizeRecipe
    suite: Suite
    target: Target
    data_gate: DataGate
    fit_gate: FitGate
    artifact_gate: ArtifactGate
    quality_gate: QualityGate
    reason: Digest | None = None
    """The drift report that asks for it. The proposal tells it; the release's id does not depend on it."""


@dataclass(frozen=True)
class Node:
    step: Step
    inputs: Mapping[str, str]
    """Field of the step's input -> `params.<field>`, `<node>` (its whole output) or `<node>.<field>`."""
    when: tuple[str, ...] = field(default=())
    """`<node>.<field>`: booleans that must all be true, else the node and all that follow it are skipped."""


_STEPS: tuple[Node, ...] = (
    Node(
        Step(
            name="validate",
            run=validate,
            given=ValidateIn,
            gives=ValidateOut,
            effects=("read:dataset", "read:store", "write:store"),
            retries=2,
            timeout_seconds=1800,
            resources=Resources(memory="4Gi"),
            cacheable=True,
            image="release",
        ),
        {
            "model": "params.model",
            "environment": "params.environment",
            "dataset": "params.dataset",
            "declaration": "params.data",
            "gate": "params.data_gate",
        },
    ),
    Node(
        Step(
            name="fit",
            run=fit,
            given=FitIn,
            gives=FitOut,
            effects=("read:base-model", "read:store", "write:store"),
            retries=2,
            timeout_seconds=900,
            resources=Resources(),
            cacheable=True,
            image="release",
        ),
        {"train": "params.train", "quantize": "params.quantize", "target": "params.target", "gate": "params.fit_gate"},
        when=("validate.accepted",),
    ),
    Node(
        Step(
            name="train",
            run=train,
            given=TrainIn,
            gives=TrainOut,
            effects=("read:base-model", "read:store", "write:store"),
            retries=1,
            timeout_seconds=24 * 3600,
            resources=Resources(cpu="2", memory="8Gi", gpu=True),
            cacheable=True,
            image="train",
        ),
        {"dataset": "validate.dataset", "recipe": "params.train"},
        when=("validate.accepted", "fit.accepted"),
    ),
    Node(
        Step(
            name="quantize",
            run=quantize,
            given=QuantizeIn,
            gives=QuantizeOut,
            effects=("read:store", "write:store"),
            retries=1,
            timeout_seconds=6 * 3600,
            resources=Resources(cpu="2", memory="8Gi", gpu=True),
            cacheable=True,
            image="train",
        ),
        {"model": "train.model", "dataset": "validate.dataset", "recipe": "params.quantize"},
    ),
    Node(
        Step(
            name="inspect",
            run=inspect,
            given=InspectIn,
            gives=InspectOut,
            effects=("read:store", "write:store"),
            retries=1,
            timeout_seconds=3600,
            resources=Resources(memory="8Gi"),
            cacheable=True,
            image="train",
        ),
        {
            "base": "train.model",
            "artifact": "quantize.artifact",
            "recipe": "params.quantize",
            "shape": "fit.shape",
            "gate": "params.artifact_gate",
        },
    ),
    Node(
        Step(
            name="evaluate",
            run=evaluate,
            given=EvaluateIn,
            gives=EvaluateOut,
            effects=("read:dataset", "read:store", "write:store"),
            retries=1,
            timeout_seconds=6 * 3600,
            resources=Resources(cpu="2", memory="8Gi", gpu=True),
            cacheable=True,
            image="train",
        ),
        {
            "base": "train.model",
            "artifact": "quantize.artifact",
            "dataset": "validate.dataset",
            "suite": "params.suite",
            "gate": "params.quality_gate",
        },
        when=("inspect.accepted",),
    ),
    Node(
        Step(
            name="describe",
            run=describe,
            given=DescribeIn,
            gives=DescribeOut,
            effects=("read:store", "write:store"),
            retries=1,
            timeout_seconds=1800,
            resources=Resources(),
            cacheable=True,
            image="release",
        ),
        {
            "model": "params.model",
            "dataset": "validate.dataset",
            "rows": "validate.rows",
            "declaration": "params.data",
            "train_recipe": "params.train",
            "trained": "train",
            "quantize_recipe": "params.quantize",
            "artifact": "quantize.artifact",
            "figures": "evaluate.figures",
        },
        when=("evaluate.accepted",),
    ),
    Node(
        Step(
            name="register",
            run=register,
            given=RegisterIn,
            gives=RegisterOut,
            effects=("read:store", "read:registry", "write:registry"),
            retries=3,
            timeout_seconds=900,
            resources=Resources(),
            cacheable=False,
            image="train",  # the packages that it writes down are those that made the model
        ),
        {
            "model": "params.model",
            "declaration": "params.data",
            "data_gate": "params.data_gate",
            "validated": "validate",
            "fit_gate": "params.fit_gate",
            "fitted": "fit",
            "train_recipe": "params.train",
            "trained": "train",
            "quantize_recipe": "params.quantize",
            "artifact": "quantize.artifact",
            "artifact_gate": "params.artifact_gate",
            "inspected": "inspect",
            "bill_of_materials": "describe.bill_of_materials",
            "quality_gate": "params.quality_gate",
            "evaluated": "evaluate",
        },
        when=("evaluate.accepted",),
    ),
    Node(
        Step(
            name="sign",
            run=sign,
            given=SignIn,
            gives=SignOut,
            effects=("read:store", "write:store", "read:signing-key"),
            retries=1,
            timeout_seconds=3600,
            resources=Resources(),
            cacheable=False,
            image="release",
        ),
        {"content": "register.content"},
    ),
    Node(
        Step(
            name="render",
            run=render,
            given=RenderIn,
            gives=RenderOut,
            effects=("read:git", "read:registry", "read:store", "write:store"),
            retries=3,
            timeout_seconds=900,
            resources=Resources(),
            cacheable=False,
            image="release",
        ),
        {
            "environment": "params.environment",
            "model": "params.model",
            "release": "register.release",
            "content": "register.content",
            "statement": "sign.statement",
        },
    ),
    Node(
        Step(
            name="propose",
            run=propose,
            given=ProposeIn,
            gives=ProposeOut,
            effects=("read:store", "read:registry", "read:git", "write:git", "open:pull-request"),
            retries=3,
            timeout_seconds=900,
            resources=Resources(),
            cacheable=False,
            image="release",
        ),
        {
            "environment": "params.environment",
            "model": "params.model",
            "release": "register.release",
            "content": "register.content",
            "diff": "render.diff",
            "reason": "params.reason",
        },
    ),
)

NODES: Mapping[str, Node] = {node.step.name: node for node in _STEPS}
"""In the order in which they run."""


def gather(node: Node, params: ReleaseParams, outs: Mapping[str, Frozen]) -> Frozen:
    """The input of `node`, from what was asked for and what earlier nodes found out."""
    return node.step.given.model_validate(
        {field: _resolve(source, params, outs) for field, source in node.inputs.items()}
    )


def gathered(name: str, params: str, outs: Mapping[str, str]) -> Frozen:
    """The same from JSON texts, for an engine that runs each step in a process of its own. Raises BadInput."""
    node = NODES[name]
    if missing := feeds(node) - outs.keys():
        raise BadInput("--from", sorted(outs), f"{name} is also fed by {', '.join(sorted(missing))}")
    read = {fed: validated_json(NODES[fed].step.gives, outs[fed].encode(), f"--from {fed}") for fed in feeds(node)}
    return gather(node, validated_json(ReleaseParams, params.encode(), "--params"), read)


def feeds(node: Node) -> set[str]:
    """The nodes whose outputs a node reads. What it waits for besides is in its guards."""
    return {source.split(".")[0] for source in node.inputs.values()} - {"params"}


def waits_for(node: Node) -> set[str]:
    """The nodes that end before this one starts."""
    return feeds(node) | {guard.split(".")[0] for guard in node.when}


def runs(node: Node, outs: Mapping[str, Frozen]) -> bool:
    """False where a guard is false, or where a node that feeds this one was skipped."""
    return waits_for(node) <= outs.keys() and all(_resolve(guard, None, outs) for guard in node.when)


def check_graph(nodes: Mapping[str, Node] = NODES) -> None:
    """Proves that every source exists before it is read, and has the type of the field that it feeds.

    Raises BadInput that names the node and the field. An order in which nothing is read before it is
    written has no cycle.
    """
    known: dict[str, type[Frozen]] = {"params": ReleaseParams}
    for name, node in nodes.items():
        if missing := node.step.given.model_fields.keys() ^ node.inputs.keys():
            raise BadInput(f"{name}.inputs", sorted(missing), f"name exactly the fields of {node.step.given.__name__}")
        for field_name, source in node.inputs.items():
            wanted = node.step.given.model_fields[field_name].annotation
            if (found := _annotation(source, known)) != wanted:
                raise BadInput(f"{name}.inputs.{field_name}", source, f"it is {found}, the field wants {wanted}")
        for guard in node.when:
            if _annotation(guard, known) is not bool:
                raise BadInput(f"{name}.when", guard, "a guard is a boolean field of an earlier node")
        known[name] = node.step.gives


def _resolve(source: str, params: ReleaseParams | None, outs: Mapping[str, Frozen]) -> object:
    head, _, field_name = source.partition(".")
    value = params if head == "params" else outs[head]
    return getattr(value, field_name) if field_name else value


def _annotation(source: str, known: Mapping[str, type[Frozen]]) -> object:
    head, _, field_name = source.partition(".")
    if head not in known:
        return "unknown: no earlier node of that name"
    if not field_name:
        return known[head]
    found = known[head].model_fields.get(field_name)
    return found.annotation if found else "unknown: no such field"
