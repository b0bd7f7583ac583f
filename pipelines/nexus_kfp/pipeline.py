"""The release as a pipeline: its tasks, the branches at its gates, and the summary that ends it."""

# No `from __future__ import annotations`: KFP reads the type of the pipeline's parameter, and knows `str`, not "str".
from collections.abc import Mapping

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from nexus_kfp.components import refused_component, step_component, summary_component
from nexus_kfp.places import Place
from nexus_release.graph import NODES, feeds, waits_for

NAME = "nexus-release"
TITLE = "Nexus release"
_LONGEST_SECONDS = sum(node.step.timeout_seconds * (node.step.retries + 1) for node in NODES.values())
_Tasks = dict[str, dsl.PipelineTask]


def release_pipeline(place: Place) -> BaseComponent:
    """Its one parameter is what `nexus params` prints."""

    def pipeline(params: str) -> None:
        end = summary_component(place.image(None))(params=params)
        place.settle(end, None)
        with dsl.ExitHandler(exit_task=end, name="release"):
            _lay(place, params, guards_of_nodes(), (), {})

    return dsl.pipeline(
        pipeline,
        name=NAME,
        display_name=TITLE,
        description="From data to a proposal in Git. `params` is what `nexus params FILE --env ENV` prints.",
        pipeline_config=dsl.PipelineConfig(active_deadline_seconds=_LONGEST_SECONDS),
    )


def guards_of_nodes() -> dict[str, tuple[str, ...]]:
    """Node -> the guards that must all hold for it to run: its own after those of the nodes that it waits for."""
    found: dict[str, tuple[str, ...]] = {}
    for name, node in NODES.items():
        inherited = [guard for earlier in NODES if earlier in waits_for(node) for guard in found[earlier]]
        found[name] = tuple(dict.fromkeys([*inherited, *node.when]))
    return found


def _lay(place: Place, params: str, guards: Mapping[str, tuple[str, ...]], held: tuple[str, ...], laid: _Tasks) -> None:
    """The nodes that run where `held` holds, then under each further guard those that ask for it too. A guarded node
    never feeds one that is not, since its guards are then that one's as well."""
    waiting: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, wanted in guards.items():
        if wanted == held:
            laid[name] = _task(place, name, params, laid)
        else:
            waiting.setdefault(wanted[len(held)], {})[name] = wanted
    for guard, nodes in waiting.items():
        gate, _, field = guard.partition(".")
        with dsl.If(laid[gate].outputs[field] == True, name=f"{gate} says yes"):  # noqa: E712 - KFP compares, later
            _lay(place, params, nodes, (*held, guard), laid)
        with dsl.Else(name=f"{gate} says no"):
            place.settle(refused_component(place.image(None))(out=laid[gate].outputs["out"]), None)


def _task(place: Place, name: str, params: str, laid: _Tasks) -> dsl.PipelineTask:
    node = NODES[name]
    fed = {earlier: laid[earlier].outputs["out"] for earlier in sorted(feeds(node))}
    task = step_component(node, place.image(node.step))(params=params, **fed)
    place.settle(task, node.step)
    return task
