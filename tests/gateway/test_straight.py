"""The straight way and the story say the same: to the client, to the engine, and in logs, metrics, limits and audit.

Both are driven here by the bytes of their sockets. The story is what a request takes where the straight way is shut.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.keys import Key
from nexus_gateway.straight import setting_out
from nexus_gateway.straight.usage import usage_in
from nexus_gateway.straight.way import way_of
from nexus_gateway.stream import usage_of
from nexus_gateway.upstreams.connection import Connection

from ..support.edges import Server, Transport, settled
from ..support.two_ways import (
    ANSWERS,
    DOCUMENT,
    EVENTS,
    IDS,
    LOST,
    OK,
    Drive,
    Told,
    both,
    framed,
    no_pages,
    posted,
    same,
)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("more", [b"", b"connection: close\r\n", IDS], ids=["plain", "close", "ids"])
def test_whatever_an_engine_answers_both_ways_say_the_same(kind: str, more: bytes, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, posted(more=more), *ANSWERS[kind]))
    assert straight == story
    assert ways >= 1, "it was not asked straight"
    assert (straight.in_flight, straight.parallel) == (0, {})
    assert straight.log.count(b'"request"') == len(straight.audit) >= 1


@pytest.mark.parametrize("cut", [150, 1000], ids=["in-two", "at-once"])
@pytest.mark.parametrize("answer", [framed(EVENTS), framed(EVENTS)[:-200], OK], ids=["sound", "cut", "whole"])
def test_a_stream_is_begun_straight_and_told_by_the_story(answer: bytes, cut: int, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, posted(stream=True), answer[:cut], answer[cut:], LOST))
    assert straight == story
    assert ways >= 1


def test_who_asks_for_a_stream_where_there_is_none_is_answered_in_one_piece(tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, posted(path="embeddings", input="x", stream=True), OK))
    assert straight == story
    assert ways == 2


@pytest.mark.parametrize(
    ("request_", "model"),
    [
        (posted("bounded"), "chat"),
        (posted("bounded", max_tokens=3), "chat"),
        (posted("free"), "chat"),
        (posted(model="other"), "other"),
        (posted(model="m-900001-0"), "m-900001-0"),
        (posted(model="other", cache_salt="mine"), "other"),
        (posted(cache_salt="mine"), "chat"),
        (posted(n=3, max_tokens=20), "chat"),
        (posted(path="embeddings", input="x"), "chat"),
        (posted(path="completions", prompt=["a", "b"]), "chat"),
        (posted(user="Zoë Ω"), "chat"),
    ],
)
def test_what_a_policy_or_an_engine_wants_changed_is_changed_alike(request_: bytes, model: str, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, request_, OK, model=model))
    assert straight == story
    assert straight.client.startswith(b"HTTP/1.1 200")
    assert ways == 2


@pytest.mark.parametrize(
    "request_",
    [
        posted("nobody"),
        posted(model="missing"),
        posted("bounded", max_tokens=8),
        posted(max_tokens=1_000_000),
        posted(more=b"idempotency-key: k\r\n"),
        posted(more=b"x-api-key: key\r\n"),
        posted(more=b"content-encoding: gzip\r\n"),
        posted(path="responses", input="x"),
        posted(Model="twice"),
    ],
)
def test_what_has_to_be_decided_is_the_story_s_from_its_beginning(request_: bytes, tmp_path: Path) -> None:
    straight, story, ways = asyncio.run(both(tmp_path, request_, OK))
    assert straight == story
    assert ways == 0


def test_limits_hold_and_what_is_refused_straight_is_told_by_the_story(tmp_path: Path) -> None:
    async def asked(straight: bool) -> Told:
        drive = Drive(tmp_path / str(straight), straight=straight)
        for _ in range(4):  # 12 prompt tokens each by the estimate, and more by the engine's account
            await drive.ask(posted(max_tokens=30_000), OK)
        drive.limiter.reserve(
            "key", drive.gateway.served.current.standing.caller(Key("key", None, False)).limits, 99_000
        )
        await drive.ask(posted(max_tokens=30_000), OK)
        return await drive.told()

    straight, story = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert straight.client.count(b"HTTP/1.1 200") == 4
    assert straight.client.count(b"HTTP/1.1 429") == 1


def test_a_circuit_opens_by_failures_on_the_straight_way_and_shuts_it(tmp_path: Path) -> None:
    async def asked(straight: bool) -> tuple[Told, int]:
        drive = Drive(tmp_path / str(straight), straight=straight)
        for _ in range(3):
            await drive.ask(posted(), *ANSWERS["500"])
        return await drive.told(), drive.ways

    (straight, ways), (story, _) = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert ways == 1, "after a failure each answer changes something"
    assert straight.client.count(b"HTTP/1.1 50") == 3
    assert straight.engine[2] == b"", "an open circuit lets nothing through"


def test_failures_with_good_answers_between_them_open_no_circuit_though_all_were_asked_before(tmp_path: Path) -> None:
    async def asked(straight: bool) -> tuple[Told, int]:
        drive = Drive(tmp_path / str(straight), straight=straight)
        server, engines = Server("wire", drive.gateway, app=no_pages), list[Transport]()
        for _ in range(4):
            drive.client = server.connect()
            await drive.ask(posted())
            engines.append(drive.engine)
        for engine, answer in zip(engines, (*ANSWERS["500"], OK, *ANSWERS["500"], OK), strict=True):
            assert isinstance(engine.protocol, Connection)
            engine.protocol.data_received(answer)
            await settled()
        assert drive.gateway.breakers.untroubled("engine"), "it has answered well last"
        return await drive.told(), drive.ways

    (straight, ways), (story, _) = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert ways == 4


@pytest.mark.parametrize("behind", ["end-of-file", "gateway-stops", "no-http"])
def test_what_was_written_in_a_turn_goes_out_before_what_else_happens_in_it(behind: str, tmp_path: Path) -> None:
    async def asked(straight: bool) -> bytes:
        drive = Drive(tmp_path / str(straight), straight=straight)
        await drive.ask(posted())
        assert isinstance(drive.engine.protocol, Connection)
        drive.engine.protocol.data_received(OK)
        if behind == "end-of-file":
            assert not drive.client.protocol.eof_received()
            await drive.client.leave()  # as the loop does after that word
        elif behind == "gateway-stops":
            drive.client.protocol.shutdown()
        else:
            drive.client.protocol.data_received(b"no HTTP\r\n\r\n")
        await settled()
        assert drive.client.transport.closing
        return same(drive.client.transport.sent)

    straight, story = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert straight.startswith(b"HTTP/1.1 200")
    assert straight.count(b"HTTP/1.1 400") == (behind == "no-http")


def test_an_engine_that_says_nothing_is_given_up_by_the_same_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(straight: bool) -> Told:
        drive = Drive(tmp_path / str(straight), straight=straight)
        await drive.ask(posted())
        connection = drive.engine.protocol
        assert isinstance(connection, Connection)
        assert connection._until is not None
        connection._until = 0.0
        connection._rang()
        await settled()
        return await drive.told()

    straight, story = asyncio.run(asked(True)), asyncio.run(asked(False))
    assert straight == story
    assert straight.client.startswith(b"HTTP/1.1 504")


def test_a_request_behind_another_waits_and_goes_straight_too(tmp_path: Path) -> None:
    async def asked(straight: bool) -> bytes:
        drive = Drive(tmp_path / str(straight), straight=straight)
        await drive.ask(posted() + posted(max_tokens=3), OK)
        await drive.ask(b"", OK)
        return same(drive.client.transport.sent)

    assert asyncio.run(asked(True)) == asyncio.run(asked(False))
    assert asyncio.run(asked(True)).count(b"HTTP/1.1 200") >= 1


def test_a_client_that_takes_nothing_is_cut_when_its_time_is_over(tmp_path: Path) -> None:
    async def asked(straight: bool) -> bool:
        drive = Drive(tmp_path / str(straight), straight=straight)
        drive.client.transport.room = 10
        await drive.ask(posted(), OK)
        for clock in [clock for clock in drive.client.clocks.every if not clock.stopped and clock.seconds > 75]:
            clock.ring()
        return drive.client.transport.cut

    assert asyncio.run(asked(True))
    assert asyncio.run(asked(False))


def test_a_draining_gateway_and_one_that_keeps_decisions_take_the_story(tmp_path: Path) -> None:
    async def ways(**state: Any) -> int:
        drive = Drive(tmp_path / "-".join(state), straight=True)
        for name, value in state.items():
            setattr(drive.gateway, name, value)
        await drive.ask(posted(), OK)
        return drive.ways

    assert asyncio.run(ways(leaving=True)) == 1
    assert asyncio.run(ways(draining=True)) == 0
    assert asyncio.run(ways(most_in_flight=0)) == 0


def test_ways_are_forgotten_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting_out, "MOST_CALLERS", 1)

    async def asked() -> int:
        drive = Drive(tmp_path / "one", straight=True)
        for key in ("key", "free", "bounded"):
            await drive.ask(posted(key), OK)
        assert drive.ways == 3
        return len(drive.gateway.served.current.standing.ways)

    assert asyncio.run(asked()) == 1


def test_that_there_is_no_way_is_found_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def counted(*given: Any) -> Any:
        looked.append(given[3])
        return way_of(*given)

    monkeypatch.setattr(setting_out, "way_of", counted)

    async def asked() -> None:
        drive = Drive(tmp_path / "one", straight=True)
        for _ in range(3):
            await drive.ask(posted(path="responses", input="x"), OK)
        assert (drive.ways, looked) == (0, ["chat"])
        for _ in range(3):
            await drive.ask(posted(model="missing"), OK)
        assert looked == ["chat", *["missing"] * 3], "what any client may write is not kept"
        drive.gateway.served.current.standing.ways.clear()
        await drive.ask(posted(path="responses", input="x"), OK)
        assert looked[-1] == "chat"

    asyncio.run(asked())


_floats = st.floats(allow_nan=False, allow_infinity=False)
_counts = st.none() | st.booleans() | st.integers(-2, 1 << 32) | _floats | st.text(max_size=2)
_names = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cache_read_input_tokens")
_details = st.none() | st.dictionaries(st.just("cached_tokens"), _counts) | st.just([])
_more = dict.fromkeys(("prompt_tokens_details", "input_tokens_details"), _details)
_usages = st.fixed_dictionaries({}, optional={**dict.fromkeys(_names, _counts), **_more})
_inner = st.fixed_dictionaries({"usage": _usages})
_documents = st.fixed_dictionaries({}, optional={"usage": _usages | _counts, "response": _counts, "message": _inner})


@given(_documents)
def test_usage_is_found_as_the_story_finds_it_or_not_at_all(document: dict[str, Any]) -> None:
    found = usage_in(json.dumps(document).encode())
    assert found is None or found == usage_of(document)


def test_usage_of_the_usual_form_is_found() -> None:
    assert usage_in(json.dumps(DOCUMENT).encode()) == usage_of(DOCUMENT) == (12, 5, 4)
