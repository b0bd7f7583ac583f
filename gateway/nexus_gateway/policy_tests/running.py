"""Policy tests as a whole: hold them, count what they looked at, break each rule and see whether they notice."""

from __future__ import annotations

from nexus_gateway.policy_tests.holding import hold
from nexus_gateway.policy_tests.mutants import Kind, mutants
from nexus_gateway.policy_tests.report import Bite, Report
from nexus_gateway.policy_tests.rules import Rules
from nexus_gateway.policy_tests.tests_file import PolicyTests
from nexus_gateway.snapshot import Snapshot


def run(tests: PolicyTests, snapshot: Snapshot, kinds: tuple[Kind, ...], least: float) -> Report:
    """`kinds`: of rules that are broken one by one; none: no mutants are made."""
    rules = Rules(snapshot.table)
    held = list(hold(tests.tests, snapshot.table, rules))
    bite = _bite(tests, snapshot, kinds) if kinds else None
    return Report(snapshot.revision, held, len(rules.all), rules.unseen, rules.percent, least, bite)


def _bite(tests: PolicyTests, snapshot: Snapshot, kinds: tuple[Kind, ...]) -> Bite:
    """Where a test fails already it would find every mutant; only those that hold count."""
    failing = {one.test for one in hold(tests.tests, snapshot.table) if one.fault}
    sound = [test for test in tests.tests if test.name not in failing]
    declared = {one.mutant: one.because for one in tests.equivalent}
    found, survivors, equivalent = set[str](), list[str](), list[tuple[str, str]]()
    for mutant in mutants(snapshot, kinds):
        if any(one.fault for one in hold(sound, mutant.table)):
            found.add(mutant.name)
        elif mutant.name in declared:
            equivalent.append((mutant.name, declared[mutant.name]))
        else:
            survivors.append(mutant.name)
    met = {name for name, _ in equivalent}
    stale = tuple(name for name in declared if name not in met and _of(name, kinds))
    return Bite(len(found), tuple(survivors), tuple(equivalent), stale)


def _of(mutant: str, kinds: tuple[Kind, ...]) -> bool:
    """Whether a mutant of that name would have been made."""
    return ("policies" if mutant.startswith(("policies.", "subjects.")) else "routes") in kinds
