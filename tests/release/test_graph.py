"""The graph is data; these tests hold it to the steps' own types."""

from __future__ import annotations

import pytest

from nexus_release.errors import BadInput
from nexus_release.graph import NODES, Node, check_graph


def test_the_graph_fits_its_steps() -> None:
    check_graph()


@pytest.mark.parametrize(
    ("name", "inputs", "when", "named"),
    [
        ("train", {"dataset": "validate.dataset"}, (), "train.inputs"),
        ("train", {"dataset": "validate.rows", "recipe": "params.train"}, (), "train.inputs.dataset"),
        ("train", {"dataset": "quantize.artifact", "recipe": "params.train"}, (), "train.inputs.dataset"),
        ("train", {"dataset": "validate.nothing", "recipe": "params.train"}, (), "train.inputs.dataset"),
        ("train", NODES["train"].inputs, ("validate.rows",), "train.when"),
    ],
    ids=["field left out", "wrong type", "read before it is written", "no such field", "guard is no boolean"],
)
def test_a_graph_that_does_not_fit_is_refused_by_name(
    name: str, inputs: dict[str, str], when: tuple[str, ...], named: str
) -> None:
    nodes = {**NODES, name: Node(NODES[name].step, inputs, when)}
    with pytest.raises(BadInput) as refused:
        check_graph(nodes)
    assert refused.value.field == named
