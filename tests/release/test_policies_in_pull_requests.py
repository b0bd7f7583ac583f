"""What a pull request does to policies is held by the gateway's own program, and by tests that would notice."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nexus_release.config import environment_names
from nexus_release.manifests.tree import load_inputs, render, write
from nexus_release.policies import policies_path
from nexus_release.promotion.policy_tests import policy_test_faults

from ..support.releases import State, plant_repository
from ..support.repository import ROOT


@pytest.mark.parametrize("state", ["canary", "contracted"])
@pytest.mark.parametrize("environment", environment_names(ROOT))
def test_the_committed_tests_hold_wherever_models_are_released(tmp_path: Path, environment: str, state: State) -> None:
    plant_repository(tmp_path, environment, state)
    assert list(policy_test_faults(tmp_path, environment)) == []


def changed(root: Path, change: str) -> list[str]:
    path = root / policies_path("dev")
    policies = yaml.safe_load(path.read_text())
    if change == "widened":
        policies["policies"]["guest"]["models"].append("payroll")
    elif change == "raised":
        policies["policies"]["guest"]["requests_per_minute"] = 6000
    else:
        policies["policies"]["newcomer"] = {"max_parallel": 3}
    path.write_text(yaml.safe_dump(policies))
    write(root, "dev", render(load_inputs(root, "dev")))
    return list(policy_test_faults(root, "dev"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("widened", "a guest finds nothing but what is shown: only: it may use payroll too"),
        ("raised", "limits.requests_per_minute: it is 6000, above 60"),
        ("untested", "SURVIVED policies.newcomer: max_parallel dropped"),
    ],
)
def test_a_policy_that_lets_more_through_or_that_nobody_tests_is_a_fault(
    tmp_path: Path, change: str, said: str
) -> None:
    plant_repository(tmp_path, "dev", "first")
    assert any(said in line for line in changed(tmp_path, change))


def test_tests_cannot_be_taken_away_while_policies_stay(tmp_path: Path) -> None:
    plant_repository(tmp_path, "dev", "first")
    (tmp_path / "environments" / "dev" / "policy-tests.yaml").unlink()
    assert list(policy_test_faults(tmp_path, "dev")) == ["dev has policies, and no policy-tests.yaml that holds them"]
    (tmp_path / policies_path("dev")).unlink()
    assert list(policy_test_faults(tmp_path, "dev")) == []
