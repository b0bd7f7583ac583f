"""What a release is asked before it may answer: held-out rows, questions with choices, and golden prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, model_validator

from nexus_release.digests import Digest, digest_bytes, digest_json
from nexus_release.errors import BadInput, DigestMismatch
from nexus_release.frozen import Frozen
from nexus_release.names import Line
from nexus_release.ports import Chat, Question

HELD_OUT = "held-out"
"""The task that is made of held-out rows, where a release names none."""
SUITE = "suite.json"
"""In the evidence of the gate, everything that was asked."""
_CHOICES = 4  # the right answer and three others, as most published tasks have
_LONGEST = 20_000  # characters of one text

Text = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST)]
Expected = Annotated[str, StringConstraints(pattern=r"\S", max_length=_LONGEST)]
"""Not blanks alone, with which every answer begins."""


class TaskFile(Frozen):
    """Questions with choices: JSONL of `{"context": text, "choices": [text, ...], "answer": index}`."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    uri: Line
    """A path, `file://`, `s3://`, `http(s)://`."""
    digest: Digest
    """Of the file's bytes, so that a task is the same wherever it is read."""


class GoldenPrompt(Frozen):
    """A prompt whose answer is known. Exactly one expectation."""

    prompt: Text
    exact: Expected | None = None
    """The whole answer, without blanks at its ends."""
    prefix: Expected | None = None
    """How the answer begins, likewise."""
    contains: tuple[Expected, ...] = ()
    """What must all be somewhere in it."""

    @model_validator(mode="after")
    def _one_expectation(self) -> GoldenPrompt:
        if sum((self.exact is not None, self.prefix is not None, bool(self.contains))) != 1:
            raise ValueError("give exactly one of exact, prefix and contains")
        return self


class Suite(Frozen):
    """What is asked besides held-out rows. Where no task is named, one is made of those rows."""

    tasks: tuple[TaskFile, ...] = ()
    golden: tuple[GoldenPrompt, ...] = Field(default=(), max_length=1000)

    @model_validator(mode="after")
    def _names_are_one_task_s(self) -> Suite:
        names = [HELD_OUT, *(task.name for task in self.tasks)]
        if len({*names}) != len(names):
            raise ValueError(f"each task has a name of its own, and none is {HELD_OUT!r}")
        return self


@dataclass(frozen=True)
class Item:
    """One question of a task."""

    task: str
    question: Question
    answer: int
    """Place of the right choice."""


class _Line(Frozen):
    context: Text
    choices: tuple[Text, ...] = Field(min_length=2, max_length=26)
    answer: int = Field(ge=0)

    @model_validator(mode="after")
    def _can_be_answered(self) -> _Line:
        if self.answer >= len(self.choices):
            raise ValueError(f"answer {self.answer} is none of {len(self.choices)} choices, counted from 0")
        if len({*self.choices}) != len(self.choices):
            raise ValueError("two choices are the same")
        return self


def read_task(task: TaskFile, data: bytes, count: int) -> list[Item]:
    """The `count` questions with the smallest hashes. Raises DigestMismatch, or BadInput that names the line."""
    if (found := digest_bytes(data)) != task.digest:
        raise DigestMismatch(f"suite.tasks: {task.uri}", task.digest, found)
    lines = [text for text in data.decode("utf-8", "replace").split("\n") if text.strip()]
    items = [_item(task, number, text) for number, text in enumerate(lines, 1)]
    if not items:
        raise BadInput(f"suite.tasks: {task.uri}", "", "it has no question; give one JSON object a line")
    return sorted(items, key=lambda item: digest_json(document(item)))[:count]


def _item(task: TaskFile, number: int, text: str) -> Item:
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{task.uri}:{number}: {where}", text[:100], first["msg"]) from None
    return Item(task.name, Question([{"role": "user", "content": line.context}], line.choices), line.answer)


def held_out_task(chats: Sequence[Chat], count: int) -> list[Item]:
    """For each chat the right last answer among answers of other chats, chosen and ordered by hashes, so that a
    question stays as it is when rows come that are none of its choices."""
    answered = [chat for chat in chats if len(chat) > 1 and chat[-1]["role"] == "assistant" and chat[-1]["content"]]
    found = []
    for chat in answered[:count]:
        right, mark = chat[-1]["content"], digest_json(chat)
        others = {other[-1]["content"] for other in answered} - {right}
        wrong = sorted(others, key=lambda text: digest_json([mark, text]))[: _CHOICES - 1]
        choices = sorted([right, *wrong], key=lambda text: digest_json([mark, text, "place"]))
        if wrong:
            found.append(Item(HELD_OUT, Question(chat[:-1], choices), choices.index(right)))
    return found


def holds(prompt: GoldenPrompt, answer: str) -> bool:
    """Whether an answer is what is expected."""
    said = answer.strip()
    if prompt.exact is not None:
        return said == prompt.exact.strip()
    if prompt.prefix is not None:
        return said.startswith(prompt.prefix.strip())
    return all(part in answer for part in prompt.contains)


def document(item: Item) -> dict[str, Any]:
    question = item.question
    return {"task": item.task, "asked": list(question.asked), "choices": list(question.choices), "answer": item.answer}


def suite_document(
    chats: Sequence[Chat], items: Sequence[Item], golden: Sequence[GoldenPrompt], scored: str
) -> Mapping[str, Any]:
    """Everything that is asked, and how it is scored; its digest is the suite's. Rows are named by their digests."""
    return {
        "rows": [digest_json(chat) for chat in chats],
        "questions": [document(item) for item in items],
        "golden": [prompt.model_dump(mode="json") for prompt in golden],
        "scored": scored,
    }
