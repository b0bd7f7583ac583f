"""A lightweight component for each step, generated from the graph.

KFP ships a component as source text, and reads its inputs and outputs from the function's signature. So the signature
is written here as text, and what it calls is `inside.py`.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

from kfp import dsl

from nexus_kfp import inside
from nexus_release.graph import NODES, Node, feeds

_SHIPPED = [inside.run_step, inside.run_summary, inside.run_nexus, inside.trouble_file, inside.show]
_LEAVES = {"validate": "Dataset", "train": "Model", "quantize": "Model", "register": "Model"}
"""Step -> KFP's type of what it leaves in the store or the registry."""

_STEP = '''
def {name}({inputs}, page: dsl.Output[dsl.HTML], text: dsl.Output[dsl.Markdown], figures: dsl.Output[dsl.Metrics]{left}
) -> NamedTuple("Found", [{outputs}]):
    """{about}"""
    return run_step("{name}", params, {{{earlier}}}, {flags}, page, text, figures{leaves})
'''
_SUMMARY = '''
def summary(params: str, status: dsl.PipelineTaskFinalStatus, page: dsl.Output[dsl.HTML], text: dsl.Output[dsl.Markdown]
):
    """Writes how the release has ended, however it has."""
    run_summary(params, status.state, status.error_message or "", {steps}, page, text)
'''
_REFUSED = '''
def refused(out: str, text: dsl.Output[dsl.Markdown]):
    """Says why a gate has refused the release. Nothing has failed."""
    import json

    reason = json.loads(out).get("reason", "a gate said no")
    with open(text.path, "w", encoding="utf-8") as file:
        file.write("The release is refused.\\n\\n    " + reason + "\\n")
'''

Component = Callable[..., dsl.PipelineTask]


def step_component(node: Node, image: str) -> Component:
    """Takes `params` and what each step that feeds it has found out; gives `out` and each yes or no of it."""
    name, flags = node.step.name, flags_of(node)
    earlier = sorted(feeds(node))
    source = _STEP.format(
        name=name,
        about=_about(node),
        inputs=", ".join(f"{one}: str" for one in ("params", *earlier)),
        outputs=", ".join(['("out", str)', *(f'("{flag}", bool)' for flag in flags)]),
        earlier=", ".join(f'"{one}": {one}' for one in earlier),
        flags=flags,
        left=f", left: dsl.Output[dsl.{_LEAVES[name]}]" if name in _LEAVES else "",
        leaves=", left" if name in _LEAVES else "",
    )
    return _component(name, source, image)


def summary_component(image: str) -> Component:
    return _component("summary", _SUMMARY.format(steps=[*NODES]), image)


def refused_component(image: str) -> Component:
    return _component("refused", _REFUSED, image)


def flags_of(node: Node) -> list[str]:
    """Each yes or no of the step's output, as `nexus step --flags` writes them."""
    return [name for name, field in node.step.gives.model_fields.items() if field.annotation is bool]


def _about(node: Node) -> str:
    """The first paragraph of the step's module, which KFP shows beside the task."""
    import inspect

    module = inspect.getmodule(node.step.run)
    return " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())


def _component(name: str, source: str, image: str) -> Component:
    """The image holds kfp, so nothing is installed as a task starts."""
    file = f"<nexus_kfp {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # where `inspect` looks
    namespace: dict[str, Any] = {}
    exec("from typing import NamedTuple\nfrom kfp import dsl\n", namespace)  # noqa: S102 - our own text
    exec(compile(source, file, "exec", dont_inherit=True), namespace)  # noqa: S102 - our own text, from the graph
    component: Component = dsl.component(
        namespace[name], base_image=image, install_kfp_package=False, additional_funcs=_SHIPPED
    )
    return component
