"""Requests that go from socket to socket in C (gateway/native/) are those in Python: to the client, to the engine, and
in logs, audit, metrics and limits. On real sockets, once on each edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.over_sockets import Drive, in_a_loop, on_both
from ..support.two_ways import ANSWERS, posted, whole

pytest.importorskip("nexus_native", reason="nexus-native is not built here")


@pytest.mark.parametrize("kind", ANSWERS)
@in_a_loop
async def test_whatever_an_engine_answers_c_says_what_python_says(kind: str, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await drive.ask(client, posted(), *ANSWERS[kind])
        if client.closed:
            client = await drive.client()
        for _ in range(2):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served >= 1
    assert (native.in_flight, native.parallel) == (0, {})
    assert native.log.count(b'"request"') == len(native.audit) >= 4


@pytest.mark.parametrize(
    ("request_", "model", "taken"),
    [
        (posted(), "chat", True),
        (posted("free"), "chat", True),
        (posted("saver"), "chat", True),
        (posted(model="m-900001-0"), "m-900001-0", True),
        (posted(n=3, max_tokens=20), "chat", True),
        (posted(max_tokens=7, max_completion_tokens=30_000), "chat", True),
        (posted(max_tokens=None), "chat", True),
        (posted(user="Zoë Ω"), "chat", True),
        (posted(path="embeddings", input="x"), "chat", True),
        (posted(path="completions", prompt="a", best_of=4), "chat", True),
        (posted(path="completions", prompt=["a", "b"]), "chat", False),
        (posted("bounded"), "chat", False),
        (posted(model="other"), "other", False),
        (posted(cache_salt="mine"), "chat", False),
        (posted(more=b"connection: close\r\n"), "chat", False),
    ],
)
@in_a_loop
async def test_whatever_is_asked_c_asks_and_counts_as_python_does(
    request_: bytes, model: str, taken: bool, tmp_path: Path
) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.client()
        for _ in range(5):
            if client.closed:
                client = await drive.client()
            await drive.ask(client, request_)

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert native.client.count(b"HTTP/1.1 200") == 5
    assert (served > 0) is taken


@pytest.mark.parametrize("cached", [0, 1, 7, 100, 119, 120, 500])
@in_a_loop
async def test_tokens_that_are_counted_in_part_are_rounded_alike(cached: int, tmp_path: Path) -> None:
    details = {"cached_tokens": cached}
    usage = {"prompt_tokens": 120, "completion_tokens": 5, "prompt_tokens_details": details}

    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted("saver"))
        for _ in range(3):
            await drive.ask(client, posted("saver"), whole({"usage": usage}))

    native, wire, served = await on_both(tmp_path, story)
    assert native == wire
    assert served == 3
