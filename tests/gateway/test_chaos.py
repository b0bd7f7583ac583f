"""The short form of `make chaos-swaps`: see `tests/chaos/gateway.py`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ..support.repository import ROOT


@pytest.mark.services
@pytest.mark.timeout(600)
def test_no_request_is_lost_or_mislabelled_whatever_happens_to_configuration_engines_and_redis() -> None:
    command = [sys.executable, "-m", "tests.chaos.gateway", "--swaps", "45", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = json.loads(done.stdout)
    assert (told["wrong"], told["lost"], told["problems"]) == ([], [], [])
    assert told["bad"] == 15
    assert told["answers"]["200"] > 100
