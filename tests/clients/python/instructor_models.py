"""Instructor, over OpenAI's SDK."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import instructor
from facts import CHAT, Weather, ended, raised, seconds, tell
from instructor.core import InstructorRetryException
from openai import OpenAI
from snippets.instructor_models import client

once = instructor.from_openai(OpenAI(max_retries=0))
by_schema = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON_SCHEMA)
stranger = instructor.from_openai(OpenAI(api_key="wrong", max_retries=0))


def ask(by: instructor.Instructor, model: str) -> Weather:
    return by.chat.completions.create(model=model, messages=CHAT, response_model=Weather)


def partial(model: str) -> Iterator[Any]:
    return once.chat.completions.create_partial(model=model, messages=CHAT, response_model=Weather)


def cause(call: Callable[[], Any]) -> None:
    try:
        call()
    except InstructorRetryException as error:
        raise error.__cause__ or error from None


asked = [functools.partial(ask, by, model) for by, model in ((stranger, "chat"), (once, "none"), (once, "full"))]

tell(
    typed=ask(client, "chat").model_dump(),
    typed_by_schema=ask(by_schema, "chat").model_dump(),
    partial=list(partial("chat"))[-1].model_dump(),
    **dict(zip(("unauthorized", "missing", "full"), map(raised, asked), strict=True)),
    causes=[raised(functools.partial(cause, call)) for call in asked],
    busy=seconds(lambda: ask(client, "busy")),
    cut=ended(lambda: (part.city for part in partial("cut"))),
)
