"""What Argo Workflows tells its exit handlers of a release that has failed."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence

from nexus_release.errors import BadInput
from nexus_release.graph import NODES
from nexus_release.terminal import plain_line

_ALL_TRIES = -1


def first_failure(failures: str) -> str:
    """What the last try of the first failed step of the graph said; empty where no step has failed.

    `failures` is Argo's `workflow.failures`: nodes in no order, each step's and each of its tries, also those that
    another try made up for, as JSON in a string of Go's. Raises BadInput.
    """
    try:
        said = {(node["templateName"], _try_of(node["displayName"])): node["message"] for node in _nodes(failures)}
    except (SyntaxError, ValueError, TypeError, KeyError) as error:
        raise BadInput("--failures", failures, f"give what Argo tells: {error!r}") from None
    failed = next((name for name in NODES if (name, _ALL_TRIES) in said), None)
    return f"{failed}: {plain_line(said[max(found for found in said if found[0] == failed)])}" if failed else ""


def _nodes(failures: str) -> Sequence[Mapping[str, str]]:
    """Go writes `\\x7f` and `\\U0001f600` in a string, which JSON does not know and Python reads alike."""
    quoted = failures.startswith('"')
    return json.loads(ast.literal_eval(failures) if quoted else failures or "null") or []


def _try_of(node: str) -> int:
    """`train(1)` is the second try of `train`."""
    number = node.rpartition("(")[2].rstrip(")")
    return int(number) if number.isdigit() else _ALL_TRIES
