"""Requests that go from socket to socket in C (gateway/native/) are those in Python: to the client, to the engine, and
in logs, audit, metrics and limits. On real sockets, once on each edge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ..support.heard import heard
from ..support.issuer import until
from ..support.over_sockets import Drive, in_a_loop, on_both
from ..support.two_ways import ANSWERS, EVENTS, LEAVES, LOST, OK, Told, framed, posted, whole

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
        (posted(path="completions", prompt=["a", "b"]), "chat", True),
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


STREAM = framed(EVENTS)
ODD = framed(EVENTS.replace(b"data: [DONE]", b": odd\n\ndata: [DONE]"))
LARGE = framed(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 30_000) + EVENTS)


@pytest.mark.parametrize(
    "answer",
    [
        (STREAM,),
        (STREAM[:150], STREAM[150:]),
        tuple(STREAM[place : place + 1] for place in range(len(STREAM))),
        (ODD,),
        (ODD[:160], ODD[160:]),
        (STREAM[:-30], LOST),
        (STREAM[:150], LEAVES),
        (OK,),
        ANSWERS["500"],
        (LARGE,),
        (LARGE[:20_000], LARGE[20_000:]),
    ],
    ids=["whole", "in-two", "bytes", "odd", "odd-in-two", "lost", "left", "no-stream", "500", "large", "large-in-two"],
)
@in_a_loop
async def test_whatever_an_engine_streams_c_says_what_python_says(answer: tuple[Any, ...], tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        await drive.ask(client, posted(stream=True), *answer)
        if client.closed:
            client = await drive.client()
        await drive.ask(client, posted(stream=True), STREAM)
        for _ in range(2):
            await drive.ask(client, posted())

    native, wire, served = await on_both(tmp_path, story)
    assert said(native) == said(wire)
    assert replace(native, client=b"") == replace(wire, client=b"")
    assert served >= 1
    assert (native.in_flight, native.parallel) == (0, {})


def said(told: Told) -> list[Any]:
    """C waits for the rest of a frame where Python makes two of it."""
    return [one.same() for one in heard(told.client)]


@in_a_loop
async def test_a_stream_that_becomes_odd_where_its_client_has_no_room_goes_on_once(tmp_path: Path) -> None:
    frames = [b"%x\r\n%b\r\n" % (len(event), event) for event in (_EVENT, b": odd\n\n", b"data: [DONE]\n\n")]
    answer = STREAM[: STREAM.index(b"\r\n\r\n") + 4], frames[0], frames[0] + frames[1], frames[2] + b"0\r\n\r\n"

    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        client.narrow()
        drive.engine.answers.append((answer[0] + answer[1], *answer[2:]))
        await client.say(posted(stream=True))
        await until(lambda: len(drive.engine.asked) == 3)
        await client.answers(3)
        assert await drive.ask(client, posted()) == [200] * 4

    native, wire, served = await on_both(tmp_path, story)
    assert native.client.count(b"x" * 40_000) == wire.client.count(b"x" * 40_000) == 2
    assert (native.log, native.audit, native.tokens) == (wire.log, wire.audit, wire.tokens)
    assert served >= 1


_EVENT = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"x" * 40_000)
