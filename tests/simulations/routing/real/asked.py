"""The clients: an open loop over several gateways, as a trace says when and by which door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import uvloop

from ....bench.connection import Answer, Target
from ....bench.load import Pool
from ..texts import Question
from .engines import MODEL
from .gateways import KEY
from .prompts import Message, conversations

LEFT_SECONDS = 120.0
"""After the last question; who has no answer by then is counted with the time so far."""


@dataclass(frozen=True)
class Asked:
    question: Question
    answer: Answer
    late: float
    """Seconds that it was sent after it was due."""

    @property
    def wait(self) -> float:
        """Seconds to the first token, or until it was given up."""
        return self.answer.first if self.answer.texts else self.answer.ended - self.answer.due


def asked(questions: Sequence[Question], ports: Sequence[int], until: float, left: float = LEFT_SECONDS) -> list[Asked]:
    """By the gateways at these ports. `until`: when the last question is asked; `left`: seconds after it."""
    found: list[Asked] = uvloop.run(_open(list(conversations(questions)), ports, until + left))
    return found


def rushed(questions: Sequence[Question], port: int, clients: int) -> list[Answer]:
    """As quick as so many clients are answered."""
    found: list[Answer] = uvloop.run(_closed(list(conversations(questions)), port, clients))
    return found


async def _open(work: Sequence[tuple[Question, list[Message]]], ports: Sequence[int], until: float) -> list[Asked]:
    targets = [Target(f"gateway-{port}", f"http://127.0.0.1:{port}", MODEL, KEY) for port in ports]
    start = time.perf_counter()
    pools = [Pool(target, None, until) for target in targets]

    async def one(question: Question, messages: list[Message]) -> Asked:
        door = int(question.door * len(ports))
        answer = Answer(start + question.at)
        await asyncio.sleep(answer.due - time.perf_counter())
        now = time.perf_counter()
        await pools[door].ask(_request(ports[door], question, messages), answer, start + until - now)
        return Asked(question, answer, now - answer.due)

    found = await asyncio.gather(*(one(*each) for each in work))
    for pool in pools:
        await pool.close()
    return found


async def _closed(work: Sequence[tuple[Question, list[Message]]], port: int, clients: int) -> list[Answer]:
    pool = Pool(Target("gateway", f"http://127.0.0.1:{port}", MODEL, KEY), None, LEFT_SECONDS)
    waiting, found = iter(work), list[Answer]()

    async def client() -> None:
        for question, messages in waiting:
            found.append(answer := Answer(time.perf_counter()))
            await pool.ask(_request(port, question, messages), answer)

    await asyncio.gather(*(client() for _ in range(clients)))
    await pool.close()
    return found


def _request(port: int, question: Question, messages: list[Message]) -> bytes:
    body = msgspec.json.encode({
        "model": MODEL, "messages": messages, "max_tokens": question.answer, "stream": True,
        "stream_options": {"include_usage": True},
    })  # fmt: skip
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
