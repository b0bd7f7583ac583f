"""Ids that the gateway makes are nobody else's, also where one process becomes several."""

from __future__ import annotations

import subprocess
import sys

from nexus_gateway.trace import new_span_id

_FORKED = """
import os
from nexus_gateway.trace import new_span_id
first = new_span_id()
if child := os.fork():
    os.waitpid(child, 0)
print(*(new_span_id() for _ in range(300)), flush=True)
"""


def test_no_id_is_made_twice() -> None:
    made = [new_span_id() for _ in range(20_000)]
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {16}
    assert set("".join(made)) == set("0123456789abcdef")


def test_a_child_has_none_of_its_parent_s() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKED], capture_output=True, text=True, check=True)
    child, parent = (set(line.split()) for line in done.stdout.splitlines())
    assert (len(parent), len(child)) == (300, 300)
    assert not parent & child
