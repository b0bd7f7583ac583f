"""Costs add up: what tenants pay and what was idle is what was allocated, to the last digit, whatever the usage."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from nexus_release.config import load_settings
from nexus_release.costs import forms
from nexus_release.costs.report import CostReport, report
from nexus_release.costs.sharing import QUANTUM, rounded, shared
from nexus_release.costs.usage import Held, Made, Usage
from nexus_release.monitoring.windows import Window
from nexus_release.prices import Prices

from ..support.repository import ROOT

PRICES = {
    "currency": "EUR",
    "gpu_hour": {"H100-80GB": "3.00"},
    "cpu_core_hour": "0.04",
    "memory_gib_hour": "0.005",
    "token_weights": {"prompt": "1", "cached": "0.1", "completion": "4"},
    "budgets": {"environment": None},
}
SETTINGS = load_settings(ROOT, "prod").model_copy(update={"prices": Prices.model_validate(PRICES)})
WINDOW = Window(since="2026-11-01T00:00:00Z", until="2026-11-02T00:00:00Z")
HOURS = st.fractions(min_value=0, max_value=100)
COUNTS = st.integers(min_value=0, max_value=10**9)
RELEASES, TENANTS, SLOTS = ("a", "b", "c"), ("x", "y", "other"), range(4)


def told(held: list[Held], made: list[Made]) -> CostReport:
    return report("prod", SETTINGS, WINDOW, 15, Usage(held, made, ("machines: a test", "tokens: a test")))


@st.composite
def usages(draw: st.DrawFn) -> tuple[list[Held], list[Made]]:
    places = st.sets(st.tuples(st.sampled_from(SLOTS), st.sampled_from(RELEASES)))
    users = st.sets(st.tuples(st.sampled_from(SLOTS), st.sampled_from(RELEASES), st.sampled_from(TENANTS)))
    held = [Held(slot, "m", one, draw(HOURS), draw(HOURS), draw(HOURS)) for slot, one in sorted(draw(places))]
    made = [Made(*place, draw(COUNTS), draw(COUNTS), draw(COUNTS)) for place in sorted(draw(users))]
    return held, made


@given(usages())
def test_tenants_and_idle_are_what_was_allocated_for_each_release_and_for_all(
    usage: tuple[list[Held], list[Made]],
) -> None:
    found = told(*usage)
    for one in found.releases:
        assert sum((tenant.cost for tenant in one.tenants), one.idle) == one.allocated
        assert all(tenant.cost >= 0 for tenant in one.tenants)
    assert sum(one.allocated for one in found.releases) == found.allocated
    assert sum((tenant.cost for tenant in found.tenants), found.idle) == found.allocated


@given(usages())
def test_every_form_adds_up_as_it_is_read(usage: tuple[list[Held], list[Made]]) -> None:
    rows = list(csv.DictReader(io.StringIO(forms.comma_separated(told(*usage)))))
    for model, release in {(row["model"], row["release"]) for row in rows}:
        costs = {row["for"]: Decimal(row["cost"]) for row in rows if (row["model"], row["release"]) == (model, release)}
        assert costs.pop("(all)") == sum(costs.values())


@given(st.integers(0, 10**12), st.dictionaries(st.sampled_from("abcdef"), HOURS, min_size=1))
def test_an_amount_is_divided_whole_and_each_part_is_off_by_less_than_the_quantum(
    units: int, parts: dict[str, Fraction]
) -> None:
    if not (whole := sum(parts.values())):
        return
    given_out = shared(units * QUANTUM, parts)
    assert sum(given_out.values()) == units * QUANTUM
    for name, part in parts.items():
        assert abs(Fraction(given_out[name]) - Fraction(units * QUANTUM) * part / whole) < Fraction(QUANTUM)


def test_rounding_is_to_the_quantum_half_to_even() -> None:
    assert [rounded(Fraction(text)) for text in ("1/3", "0.00005", "0.00015", "2")] == [
        Decimal("0.3333"),
        Decimal("0.0000"),
        Decimal("0.0002"),
        Decimal("2.0000"),
    ]


HOUR = Held(0, "m", "a", Fraction(1), Fraction(8), Fraction(64))  # 3.00 for its GPU, 0.32 for cores, 0.32 for memory


def costs(found: CostReport) -> dict[str, str]:
    return {one.tenant: str(one.cost) for one in found.tenants} | {"": str(found.idle)}


def test_an_hour_costs_its_gpu_its_cores_and_its_memory() -> None:
    assert str(told([HOUR], []).allocated) == "3.6400"


def test_tenants_share_a_slot_by_the_work_of_their_tokens() -> None:
    """100 fresh and 50 of an answer weigh 300; 1000 of which 900 were kept and none of an answer weigh 190."""
    made = [Made(0, "a", "x", 100, 0, 50), Made(0, "a", "y", 1000, 900, 0)]
    assert costs(told([HOUR], made)) == {"x": "2.2286", "y": "1.4114", "": "0.0000"}


def test_a_slot_without_a_token_is_idle_and_so_is_one_of_another_release() -> None:
    held = [HOUR, replace(HOUR, slot=1), replace(HOUR, slot=0, release="b")]
    assert costs(told(held, [Made(0, "a", "x", 1, 0, 1)])) == {"x": "3.6400", "": "7.2800"}


def test_a_thousand_tokens_have_a_price_where_there_were_any() -> None:
    (one,) = told([HOUR], [Made(0, "a", "x", 900, 0, 100)]).tenants
    assert str(one.per_1k_tokens) == "3.6400"
    (none,) = told([HOUR], [Made(0, "a", "x", 0, 0, 0)]).tenants
    assert (none.per_1k_tokens, str(none.cost)) == (None, "0.0000")


def test_a_name_that_a_spreadsheet_would_compute_is_text() -> None:
    text = forms.comma_separated(told([HOUR], [Made(0, "a", "=cmd()", 1, 0, 1)]))
    assert "'=cmd()" in text


def test_people_read_where_the_figures_are_from_and_every_row() -> None:
    found = told([HOUR], [Made(0, "a", "x", 900, 0, 100)])
    text = forms.text(found).splitlines()
    assert text[0] == "cost: prod, 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z, in EUR"
    assert text[1:3] == ["machines: a test", "tokens: a test"]
    assert "prompt x 1, cached x 0.1, completion x 4" in text[3]
    assert [line.split() for line in text if line.startswith("m ")] == [
        ["m", "a", "x", "3.6400", "900", "0", "100", "3.6400"],
        ["m", "a", "(idle)", "0.0000"],
        ["m", "a", "(all)", "3.6400"],
    ]
    assert "| m | a | x | 3.6400 | 900 | 0 | 100 | 3.6400 |" in forms.markdown(found)
