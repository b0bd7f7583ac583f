"""What a release is asked: task files, questions made of held-out rows, golden prompts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from nexus_release.digests import digest_bytes
from nexus_release.errors import BadInput, DigestMismatch
from nexus_release.ports import Chat
from nexus_release.suite import GoldenPrompt, Item, Suite, TaskFile, held_out_task, holds, read_task


def line(number: int, **changes: object) -> dict[str, object]:
    return {"context": f"What is {number}?", "choices": ["one", "two", "three"], "answer": 1, **changes}


def read(*lines: object, count: int = 100) -> list[Item]:
    data = "".join(json.dumps(one) + "\n" for one in lines).encode()
    return read_task(TaskFile(name="sums", uri="sums.jsonl", digest=digest_bytes(data)), data, count)


def test_a_task_s_questions_are_asked_as_a_user_asks() -> None:
    (item,) = read(line(1))
    assert item.question.asked == [{"role": "user", "content": "What is 1?"}]
    assert (item.task, item.question.choices, item.answer) == ("sums", ("one", "two", "three"), 1)


def test_of_many_questions_the_same_few_are_chosen_whatever_their_order() -> None:
    many = [line(number) for number in range(50)]
    assert read(*many, count=5) == read(*many[::-1], count=5)
    assert read(*many, count=5) != read(*many[:5])


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"context": ""}, "sums.jsonl:2: context"),
        ({"choices": ["one"]}, "sums.jsonl:2: choices"),
        ({"choices": ["one", "one"]}, "two choices are the same"),
        ({"answer": 3}, "answer 3 is none of 3 choices, counted from 0"),
        ({"answer": -1}, "sums.jsonl:2: answer"),
        ({"anwser": 1}, "sums.jsonl:2: anwser"),
    ],
)
def test_a_line_that_is_no_question_is_named(bad: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(line(1), line(2, **bad))
    assert named in str(refused.value)


def test_an_empty_task_is_refused() -> None:
    with pytest.raises(BadInput, match="it has no question"):
        read()


def test_a_task_whose_bytes_have_changed_is_refused_by_both_digests() -> None:
    task = TaskFile(name="sums", uri="sums.jsonl", digest=digest_bytes(b"other"))
    with pytest.raises(DigestMismatch, match=r"suite\.tasks: sums\.jsonl: expected sha256:.* found sha256:"):
        read_task(task, json.dumps(line(1)).encode(), 10)


def chats(count: int) -> list[Chat]:
    return [
        [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": f"answer {number}"}]
        for number in range(count)
    ]


def test_held_out_rows_make_questions_whose_answers_are_their_own() -> None:
    items = held_out_task(chats(20), 100)
    assert len(items) == 20
    for number, item in enumerate(items):
        assert item.question.asked == chats(20)[number][:1]
        assert item.question.choices[item.answer] == f"answer {number}"
        assert len({*item.question.choices}) == 4
    assert items == held_out_task(chats(20), 100)


def test_the_right_answer_is_at_no_place_more_often() -> None:
    """Else a model that always takes the first would be called good. 400 questions: 100 a place, deviation 8.7."""
    places = Counter(item.answer for item in held_out_task(chats(400), 400))
    assert all(60 < places[place] < 140 for place in range(4))


def test_rows_that_nobody_has_answered_and_rows_that_say_the_same_make_no_question() -> None:
    asked: list[Chat] = [[{"role": "user", "content": "?"}]]
    assert held_out_task([*asked, *chats(1)], 10) == []
    same = [[*chat[:-1], {"role": "assistant", "content": "yes"}] for chat in chats(5)]
    assert held_out_task(same, 10) == []


EXPECTED: dict[str, tuple[GoldenPrompt, list[str], list[str]]] = {
    "exact": (GoldenPrompt(prompt="?", exact="yes"), ["yes", " yes\n"], ["yes.", "Yes", ""]),
    "prefix": (GoldenPrompt(prompt="?", prefix="The sum"), ["The sum is 4", "\nThe sum"], ["A sum", "the sum", ""]),
    "contains": (GoldenPrompt(prompt="?", contains=("a", "b")), ["ab", "b then a"], ["a", "b", ""]),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_golden_prompt_holds_or_does_not(kind: str) -> None:
    prompt, good, bad = EXPECTED[kind]
    assert [holds(prompt, answer) for answer in good] == [True] * len(good)
    assert [holds(prompt, answer) for answer in bad] == [False] * len(bad)


TASK = TaskFile(name="sums", uri="a", digest="sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "made",
    [
        lambda: GoldenPrompt(prompt="?"),
        lambda: GoldenPrompt(prompt="?", exact="a", prefix="a"),
        lambda: GoldenPrompt(prompt="?", contains=("a", "")),
        lambda: GoldenPrompt(prompt="?", prefix=" \n"),
        lambda: GoldenPrompt(prompt="?", contains=(" ",)),
        lambda: Suite(tasks=(TASK, TASK)),
        lambda: Suite(tasks=(TASK.model_copy(update={"name": "held-out"}),)),
    ],
    ids=[
        "no expectation",
        "two",
        "an empty text",
        "a blank beginning",
        "a blank",
        "two tasks of one name",
        "the name of our own",
    ],
)
def test_a_suite_that_would_hold_nothing_is_refused(made: Callable[[], object]) -> None:
    with pytest.raises(ValidationError):
        made()
