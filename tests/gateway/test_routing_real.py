"""Real gateways before the simulation's engines: their words begin alike where the simulation's do, and the answers
say what was cached. The benchmark itself has its own target."""

from __future__ import annotations

from pathlib import Path

from ..simulations.routing.real.asked import asked, rushed
from ..simulations.routing.real.gateways import REAL, running
from ..simulations.routing.real.measured import Growth, Measured, Row, read
from ..simulations.routing.real.prompts import Said, conversations
from ..simulations.routing.real.runs import engines
from ..simulations.routing.real.table import BEGIN, END, replaced, section
from ..simulations.routing.workloads import LOADS, chat, trace
from ..support.repository import ROOT

ASKED = trace(chat(), LOADS["below"], 20).questions[:40]
MORE = trace(chat(), LOADS["below"], 20).questions[:100]
WIDE = 24
"""Questions after which a system prompt that all share is known to be all there is, and may use all engines: until then
a conversation has another home."""
NEXUS = REAL[0]


def test_what_is_said_shares_the_blocks_that_the_simulation_shares() -> None:
    said = [
        (question, Said([one["content"] for one in messages], question.answer))
        for question, messages in conversations(ASKED)
    ]
    assert all(words.tokens == question.prompt for question, words in said)
    assert max(len([one for one in said if one[0].text is question.text]) for question, _ in said) > 1
    for question, words in said:
        for other, others in said:
            spoken = _alike(words.blocks(question.prompt), others.blocks(other.prompt + other.answer - 1))
            assert spoken == _alike(question.chain, other.read)


def _alike(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> int:
    return next(
        (number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def test_the_gateway_brings_each_conversation_back_to_its_cache(tmp_path: Path) -> None:
    with engines(tmp_path, "--instant") as urls, running(NEXUS, 1, urls, tmp_path) as (gateway,):
        answers = rushed(MORE, gateway.port, clients=1)
        assert [one.error for one in answers] == [""] * len(MORE)
        assert [one.prompt_tokens for one in answers] == [one.prompt for one in MORE]
        later = [number for number, one in enumerate(MORE) if one.text in [before.text for before in MORE[WIDE:number]]]
        assert len(later) > 20
        cold = [number for number in later if answers[number].cached_tokens <= MORE[number].prompt / 2]
        assert len(cold) * 5 <= len(later)  # of eight engines a drawn one is another for seven in eight
        assert gateway.memory > 10


def test_who_is_not_answered_in_time_is_given_up_and_counted(tmp_path: Path) -> None:
    with engines(tmp_path) as urls, running(NEXUS, 1, urls, tmp_path) as (gateway,):
        found = asked(ASKED[:2], [gateway.port], until=ASKED[1].at, left=0.0)
    assert all(one.answer.error for one in found[1:])
    assert all(one.wait > 0 for one in found)


def test_the_page_has_what_was_measured_and_nothing_else_of_it_changes() -> None:
    row = Row("chat", "one", 4, 0.5, 0.1, 20.0, 0.25, 0.75, 0.2, 30.0, 60.0, 70.0, 0.004)
    found = Measured(
        "a day", "a machine", {"one": "1.0"}, "below", 400, [row], 2000, 10_000, [Growth("one", 1, 2, 5, 0)]
    )
    part = section(found)
    assert "| chat | one | 4 | 50.0 (75.0) | 0.10 (0.20) | 20 (30) | 25.0 | 60 to 70 |" in part
    assert "| one | 1 | 2 | 5 | +3.0 | 0 |" in part
    assert replaced(f"before {BEGIN}old{END} after", part) == f"before {BEGIN}\n{part}\n{END} after"


def test_the_committed_page_shows_the_committed_figures() -> None:
    page = (ROOT / "docs" / "benchmarks-routing.md").read_text(encoding="utf-8")
    assert replaced(page, section(read())) == page
