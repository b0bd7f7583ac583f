"""Whatever engines stream is relayed in C (gateway/native/) as it is in Python, and told of the same.

On real sockets, with an engine whose every byte is the test's.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

import pytest
import uvloop

from nexus_gateway.settings import Edge

from ..support.hand_fed import END, World, hand_fed
from ..support.heard import heard
from ..support.issuer import until
from ..support.passed_by import DONE, FIRST, LARGE, LAST, NEXT, OURS, Passed, event, frame, watching
from .test_two_edges import alike, figures_of

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

_ID = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})\b")


class Case(NamedTuple):
    pieces: tuple[bytes, ...]
    """After the head and the first event; each is read before the next comes."""
    end: str = ""
    """What the engine does then."""


NULL = frame(b'data: {"choices": [], "usage": null}\n\n')
COUNTED = frame(b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\n')
PADDED = event("x" * (0xAB - len(event(""))))
HUGE = frame(event("x" * 200_000))
CASES = {
    "one by one": Case((NEXT, NEXT, NEXT, frame(DONE), END)),
    "at once": Case((NEXT + NEXT + NEXT + LAST,)),
    "byte by byte": Case(tuple(bytes([byte]) for byte in NEXT + NEXT + frame(DONE) + END)),
    "two frames and a half": Case((NEXT + NEXT + NEXT[:30], NEXT[30:] + NEXT, LAST)),
    "cut in a size": Case((NEXT + NEXT[:1], NEXT[1:], NEXT[:2], NEXT[2:] + NEXT[:3], NEXT[3:] + NEXT, LAST)),
    "cut behind an event": Case((NEXT[:-2], NEXT[-2:-1], NEXT[-1:] + NEXT, LAST)),
    "upper case": Case((NEXT.replace(b"%x" % len(event("next")), b"%X" % len(event("next"))), NEXT, LAST)),
    "both cases": Case((b"aB\r\n%b\r\n" % PADDED, b"ab\r\n%b\r\n" % PADDED, b"AB\r\n%b\r\n" % PADDED, LAST)),
    "leading zeros": Case((NEXT, b"00" + NEXT, NEXT, LAST)),
    "extensions": Case((NEXT, NEXT.replace(b"\r\n", b";a=1\r\n", 1), NEXT, NEXT, LAST)),
    "several lines": Case((NEXT, frame(b"event: delta\nid: 7\n" + event("more")), NEXT, LAST)),
    "several data lines": Case((NEXT, frame(b'data: {"a":\ndata: 1}\n\n'), NEXT, LAST)),
    "comments": Case((NEXT, frame(b": ping\n\n"), NEXT + frame(b": ping\n\n") + NEXT, LAST)),
    "ends of line": Case((NEXT, frame(b'data: {"a": 1}\r\n\r\n'), NEXT, frame(b'data: {"a": 1}\r\r'), NEXT, LAST)),
    "two events in a frame": Case((NEXT, frame(event("one") + event("two")), NEXT, LAST)),
    "an event in two frames": Case((NEXT, frame(event("one")[:9]), frame(event("one")[9:]), NEXT, LAST)),
    "an event in two frames at once": Case((NEXT + frame(event("one")[:9]) + frame(event("one")[9:]) + NEXT, LAST)),
    "a frame's worth of ends": Case((NEXT, frame(b"\n\n"), NEXT, LAST)),
    "no object": Case((NEXT, frame(b"data: [1]\n\n"), frame(b"data: {broken}\n\n"), NEXT, LAST)),
    "usage": Case((NULL, NULL + COUNTED, NEXT + NULL, LAST)),
    "usage at the end": Case((NEXT, NULL, COUNTED + LAST)),
    "an error": Case((NEXT, frame(b'data: {"error": {"message": "no"}}\n\n'), NEXT)),
    "no error": Case((NEXT, frame(b'data: {"text": "an error", "error": null}\n\n'), NEXT, LAST)),
    "no JSON where it counts": Case((NEXT, frame(b'data: {"usage": {\n\n'), NEXT)),
    "behind its end mark": Case((NEXT, frame(DONE), NEXT)),
    "behind its end mark at once": Case((NEXT, frame(DONE) + NEXT, END)),
    "an end without its mark": Case((NEXT, END)),
    "a trailer": Case((NEXT, frame(DONE) + b"0\r\nx-more: 1\r\n\r\n")),
    "no frame": Case((NEXT, b"nothing\r\n")),
    "a wrong size": Case((NEXT, b"5\r\n" + event("next") + b"\r\n")),
    "large": Case((LARGE, HUGE, NEXT, LAST)),
    "it closes": Case((NEXT,), "closes"),
    "it closes in a frame": Case((NEXT + NEXT[:20],), "closes"),
    "it is reset": Case((NEXT,), "is reset"),
}


REFRAMED = ("two frames and a half", "large", "it closes in a frame")
"""Whole frames before a part of one, which Python joins with it: what of a stream is one frame is each hop's own."""


class Told(NamedTuple):
    answers: dict[str, bytes]
    """With their frames."""
    lines: list[str]
    audit: list[str]
    figures: dict[str, float]
    passed: int


async def relayed(case: Case, world: World) -> bytes:
    client, engine = await world.streaming(FIRST)
    for piece in case.pieces:
        await engine.say(piece)
    if case.end == "closes":
        engine.close()
    elif case.end:
        engine.reset()
    return _ID.sub(b"ID", await client.whole())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[Edge, Told]:
    async def by(edge: Edge, passed: Passed) -> Told:
        async with hand_fed(tmp_path_factory.mktemp(edge), edge) as world:
            answers = {name: await relayed(case, world) for name, case in CASES.items()}
            await until(lambda: len(world.lines()) == len(CASES))
            assert world.faults == []
            return Told(
                answers, alike(world.lines()), alike(world.audited()), figures_of(await world.figures()), passed.events
            )

    def watched(edge: Edge) -> Told:
        with pytest.MonkeyPatch.context() as patch:
            return uvloop.run(asyncio.wait_for(by(edge, watching(patch)), 60))

    return {edge: watched(edge) for edge in OURS}


@pytest.mark.parametrize("name", CASES)
def test_what_engines_send_goes_on_the_same(told: dict[Edge, Told], name: str) -> None:
    native, wire = told["native"].answers[name], told["wire"].answers[name]
    assert [one.same() for one in heard(native)] == [one.same() for one in heard(wire)]
    assert (native == wire) is (name not in REFRAMED)


def test_it_is_told_the_same(told: dict[Edge, Told]) -> None:
    native, wire = told["native"], told["wire"]
    assert native.lines == wire.lines
    assert native.audit == wire.audit
    assert native.figures == wire.figures


def test_much_of_it_has_passed_by(told: dict[Edge, Told]) -> None:
    assert (told["native"].passed > len(CASES), told["wire"].passed) == (True, 0)
