"""The load generator of `make bench-engines` before engines whose behaviour is known, and what its rounds come to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from nexus_release.local.free_ports import free_port

from ..bench.connection import Answer, Target
from ..bench.figures import figures, percentile, ratio
from ..bench.gateway_cost import cost
from ..bench.gpu_use import NO_GPU, GpuUse, in_words
from ..bench.load import Load, closed_loop, open_loop
from ..bench.questions import Lengths, Question, arrivals, questions
from ..support.scripted_engine import TEXTS, TOKENS, ScriptedEngine
from ..support.worker import poll

ANSWER = Question("answer", 5)


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as started:
        yield started


def target(engine: ScriptedEngine) -> Target:
    return Target("scripted", engine.url, "scripted")


def test_an_answer_is_timed_by_its_texts_and_counted_by_its_engine(engine: ScriptedEngine) -> None:
    (answer,) = closed_loop(target(engine), [ANSWER], 1).answers
    assert (answer.error, answer.tokens, len(answer.texts)) == ("", TOKENS, len(TEXTS))
    assert all(came >= wrote for came, wrote in zip(answer.texts, engine.written, strict=True))
    assert answer.due < answer.texts[0] < answer.texts[-1] <= answer.ended
    assert answer.first + sum(answer.gaps) == pytest.approx(answer.texts[-1] - answer.due)


def test_every_request_asks_for_a_stream_with_its_usage_and_the_whole_length(engine: ScriptedEngine) -> None:
    closed_loop(target(engine), [Question("answer me", 9)], 1)
    asked = engine.asked[-1]
    assert (asked["model"], asked["max_tokens"], asked["stream"], asked["ignore_eos"]) == ("scripted", 9, True, True)
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["messages"] == [{"role": "user", "content": "answer me"}]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("refuse", "status 503"),
        ("fail", "an error in the stream"),
        ("break", "the stream broke off"),
        ("silent", "no text"),
        ("uncounted", "no usage"),
        ("garbage", "not understood"),
    ],
)
def test_what_goes_wrong_is_counted_by_its_name_and_the_next_request_is_served(
    engine: ScriptedEngine, script: str, error: str
) -> None:
    load = closed_loop(target(engine), [Question(script, 1), ANSWER], 1)
    found = figures([load])
    assert (found.answered, found.errors) == (1, {error: 1})
    assert found.tokens_per_second == pytest.approx(TOKENS / load.seconds)


def test_an_engine_that_never_answers_is_given_up(engine: ScriptedEngine) -> None:
    load = closed_loop(target(engine), [Question("never", 1)], 1, seconds=0.1)
    assert figures([load]).errors == {"not within 0.1 s": 1}


def test_an_engine_that_is_not_there_is_an_error_of_each_request() -> None:
    nobody = Target("nobody", f"http://127.0.0.1:{free_port()}", "m")
    assert figures([closed_loop(nobody, [ANSWER] * 3, 2)]).errors == {"not connected": 3}
    assert figures([open_loop(nobody, [ANSWER] * 3, [0, 0, 0])]).errors == {"not connected": 3}


def test_a_closed_loop_has_so_many_requests_in_hand_and_no_more() -> None:
    with ScriptedEngine(together=3) as engine:
        load = closed_loop(target(engine), [Question("meet", 1)] * 3 + [ANSWER] * 6, 3, seconds=20)
        assert figures([load]).answered == 9
        assert engine.most == 3
    with ScriptedEngine(together=3) as engine:
        alone = closed_loop(target(engine), [Question("meet", 1)], 2, seconds=0.1)
        assert figures([alone]).errors == {"not within 0.1 s": 1}


def test_an_open_loop_waits_for_nobody_and_counts_from_when_a_request_was_due() -> None:
    with ScriptedEngine(together=3) as engine:  # none is answered before the last has come
        load = open_loop(target(engine), [Question("meet", 1)] * 3, [0.0, 0.02, 0.04], seconds=20)
    first, second, third = sorted(load.answers, key=lambda answer: answer.due)
    assert figures([load]).answered == 3
    assert (second.due - first.due, third.due - first.due) == (pytest.approx(0.02), pytest.approx(0.04))
    assert first.first >= 0.04  # it has waited for the last


def test_what_is_asked_follows_from_the_seed_alone() -> None:
    lengths = Lengths(words=(2, 4), tokens=(3, 5))
    asked = questions(1, 200, lengths)
    assert asked == questions(1, 200, lengths) != questions(2, 200, lengths)
    assert {one.max_tokens for one in asked} == {3, 4, 5}
    assert {len(one.prompt.split()) for one in asked} == {3, 4, 5}  # its number goes before
    assert len({one.prompt.split()[0] for one in asked}) == 200
    due = arrivals(1, 2000, 10.0)
    assert due == sorted(due) == arrivals(1, 2000, 10.0)
    assert due[-1] == pytest.approx(200, rel=0.1)
    assert len({later - sooner for sooner, later in pairwise(due)}) > 1900, "not by a beat"


@pytest.mark.parametrize(
    ("percent", "wanted"), [(0, 1), (1, 1), (50, 50), (94.5, 95), (95, 95), (99, 99), (99.1, 100), (100, 100)]
)
def test_a_percentile_is_a_value_that_was_seen(percent: float, wanted: int) -> None:
    assert percentile(range(100, 0, -1), percent) == wanted
    assert percentile([7.0], percent) == 7.0


def made(seconds: float, *answers: Answer) -> Load:
    return Load(list(answers), seconds, 0.5)


def answered(first: float, gap: float, tokens: int = 2) -> Answer:
    return Answer(10.0, [10 + first, 10 + first + gap], 10 + first + gap, tokens)


def test_figures_are_of_all_rounds_and_leave_out_what_failed() -> None:
    failed = Answer(10.0, [10.001], 10.002, 1000, "status 503")
    found = figures([made(1.0, answered(0.1, 0.02), failed), made(3.0, answered(0.3, 0.04))])
    assert (found.answered, found.errors) == (2, {"status 503": 1})
    assert (found.requests_per_second, found.tokens_per_second) == (0.5, 1.0)
    assert found.first == pytest.approx([100, 300, 300])
    assert found.gap == pytest.approx([20, 40, 40])
    assert found.pace == pytest.approx([20, 40, 40])
    assert found.whole == pytest.approx([120, 340, 340])


def test_a_ratio_is_of_the_same_round_and_none_where_there_is_nothing_to_compare() -> None:
    def rate(first: float) -> Load:
        return made(1.0, answered(first, 0.01))

    found = ratio([rate(0.1), rate(0.4), rate(0.3)], [rate(0.1), rate(0.2), rate(0.1)], lambda one: one.first[0])
    assert found is not None
    assert (found.middle, found.least, found.most) == (pytest.approx(2), pytest.approx(1), pytest.approx(3))
    nothing = made(1.0, Answer(10.0, error="status 503"))
    assert ratio([nothing], [rate(0.1)], lambda one: one.requests_per_second) is None


def test_what_a_gateway_costs_is_the_median_of_the_rounds_and_never_of_lost_answers() -> None:
    def load(tokens: int, first: float) -> Load:
        return made(1.0, answered(first, 0.01, tokens))

    past = [load(1000, 0.1), load(1000, 0.1), load(1000, 0.1)]
    found = cost(past, [load(995, 0.101), load(900, 0.15), load(995, 0.101)])
    assert (found.throughput, found.first_ms) == (pytest.approx(0.005), pytest.approx(1))
    assert found.allowed
    assert not cost(past, [load(980, 0.101)] * 3).allowed
    assert not cost(past, [load(1000, 0.103)] * 3).allowed
    with pytest.raises(ValueError, match="status 503"):
        cost(past[:1], [made(1.0, answered(0.1, 0.01), Answer(10.0, error="status 503"))])


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("90, 1024\n70, 3072\n80", "80 % busy, 2.0 GiB"),
        ("90, 1024\n70, 3072\n80, 10", "80 % busy, 2.0 GiB"),
        ("90, 1024\n[N/A], 3072\n", "90 % busy, 1.0 GiB"),
        ("[N/A], 3072\n", "not told"),
        ("", "not told"),
    ],
    ids=["a cut line", "a cut number", "a GPU in parts beside a whole one", "a GPU in parts", "nothing"],
)
def test_the_use_of_gpus_is_the_mean_of_what_is_told_whole(told: str, said: str) -> None:
    assert in_words(told) == said


def test_gpus_are_watched_while_something_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told"
    script = f'case "$*" in *=name*) echo H100 ;; *) echo "50, 512"; : > {told}; exec sleep 600 ;; esac'
    nvidia_smi(tmp_path, monkeypatch, script)
    with GpuUse() as use:
        poll(told.exists, "it has begun to tell")
    assert use.said == "50 % busy, 0.5 GiB"


def test_without_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, "exit 9")
    with GpuUse() as use:
        pass
    assert use.said == NO_GPU
