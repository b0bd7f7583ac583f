"""`nexus-gateway policy-test --mutants`: each rule is broken, and some test must notice."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..support.gateway_command import command
from ..support.repository import ROOT
from .test_policy_tests import ROUTES, TESTS, changed, held

ENVIRONMENTS = sorted(path.parent.name for path in (ROOT / "environments").glob("*/policy-tests.yaml"))


def survivors(told: dict[str, Any]) -> set[str]:
    return set(told["mutants"]["survivors"])


def test_tests_that_say_all_let_no_broken_rule_pass(tmp_path: Path) -> None:
    """Of a fallback that is added for a model that the caller may not use, nobody could notice anything."""
    status, told = held(tmp_path, ROUTES, TESTS, "--mutants")
    left = survivors(told)
    assert told["mutants"]["found"] > 50
    assert left <= {
        "policies.guest: masking.answers flipped",
        *(f"routes.{name}: fallback {other} added" for name in ROUTES["routes"] for other in ROUTES["routes"]),
    }, left
    assert (status, bool(left)) == (1, True)


@pytest.mark.parametrize(
    ("without", "survivor"),
    [
        ("a canary stays small", "routes.chat: 10 points fewer"),
        ("copies go to the lab", "routes.chat: shadow to all"),
        ("which one is the canary", "routes.chat: primary and canary swapped"),
        ("a guest says nothing else", "policies.guest: passthrough dropped"),
        ("who signs in asks the provider", "subjects.*: max_parallel dropped"),
        ("staff may", "policies.staff: removed"),
    ],
)
def test_a_rule_that_no_test_holds_is_named(tmp_path: Path, without: str, survivor: str) -> None:
    fewer = [test for test in TESTS if test["name"] != without]
    assert survivor in survivors(held(tmp_path, ROUTES, fewer, "--mutants")[1])
    assert survivor not in survivors(held(tmp_path, ROUTES, TESTS, "--mutants")[1])


def test_what_means_the_same_is_no_mutant(tmp_path: Path) -> None:
    """A priority that is the usual one may as well not be said."""
    routes = changed(policies__staff={"priority": 50})
    tests = [{"name": "t", "caller": {"tenant": "guest"}, "may_use": ["chat"]}]
    assert not [name for name in survivors(held(tmp_path, routes, tests, "--mutants")[1]) if "staff: priority" in name]


def test_a_failing_test_finds_nothing(tmp_path: Path) -> None:
    wrong = [{"name": "wrong", "caller": {"tenant": "guest"}, "may_use": ["secret"], "limits": {"max_tokens": 100}}]
    _, told = held(tmp_path, ROUTES, wrong, "--mutants", "policies")
    assert told["mutants"]["found"] == 0


def test_a_mutant_may_be_declared_equivalent_with_a_reason_and_not_in_vain(tmp_path: Path) -> None:
    routes = {"policies": {"a": {"max_parallel": 4}}}
    test = {"name": "t", "caller": {"tenant": "a"}, "limits": {"max_parallel": {"at_most": 4}}}
    (tmp_path / "routes.yaml").write_text(json.dumps(routes))

    def run(*equivalent: str) -> tuple[int, dict[str, Any]]:
        said = [{"mutant": name, "because": "fewer is safe"} for name in equivalent]
        (tmp_path / "tests.yaml").write_text(json.dumps({"tests": [test], "equivalent": said}))
        words = ("policy-test", tmp_path / "routes.yaml", "--tests", tmp_path / "tests.yaml")
        said = command(*words, "--mutants", "policies", "--json")
        return said.status, said.told["mutants"]

    status, told = run()
    assert (status, told["survivors"]) == (1, ["policies.a: max_parallel halved"])
    status, told = run("policies.a: max_parallel halved")
    assert (status, told["equivalent"]) == (0, {"policies.a: max_parallel halved": "fewer is safe"})
    status, told = run("policies.a: max_parallel halved", "policies.a: max_parallel doubled")
    assert (status, told["stale"]) == (1, ["policies.a: max_parallel doubled"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_broken_rule_of_the_committed_policies_is_found(environment: str) -> None:
    routes = ROOT / "gitops" / environment / "gateway" / "routes.d"
    tests = ROOT / "environments" / environment / "policy-tests.yaml"
    said = command("policy-test", routes, "--tests", tests, "--mutants", "policies", "--json", "--min-coverage", "100")
    told = said.told
    assert (said.status, survivors(told)) == (0, set())
    policies = yaml.safe_load((ROOT / "environments" / environment / "policies.yaml").read_text())
    rules = sum(len(policy) for section in policies.values() for policy in section.values())
    assert told["mutants"]["found"] >= rules, "at least one for each rule"


def test_make_check_holds_every_environment() -> None:
    done = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True)
    assert "policy-tests" in done.stdout
    assert {path.parent.name for path in (ROOT / "environments").glob("*/settings.yaml")} == set(ENVIRONMENTS)
