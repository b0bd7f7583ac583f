"""Streams that C (gateway/native/) takes from their request on are those of Python: to the client, to the engine, and
in logs, audit, metrics and limits. However the engine cuts them, and whatever it says in them. On real sockets, once on
each edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..support.hand_fed import END, HEAD
from ..support.heard import heard
from ..support.over_sockets import Client, Drive, driven, in_a_loop, on_both
from ..support.passed_by import DONE, FIRST, LAST, NEXT, event, frame
from ..support.two_ways import ANSWERS, LOST, Told, framed, posted
from .test_native_streams import CASES, COUNTED, NULL

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

STREAM = posted(stream=True)
USAGE = b'"usage": {"prompt_tokens": 7, "completion_tokens": 5}'
CACHED = b'"usage": {"prompt_tokens": 70, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 40}}'
ERROR = b'data: {"error": {"message": "no"}}\n\n'
SMALL = 3000
"""Bytes of a stream that is also cut byte by byte."""


def said(text: bytes) -> bytes:
    """One event."""
    return frame(b"data: %b\n\n" % text)


def head(more: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return HEAD.replace(b"200 OK", status).replace(b"\r\n\r\n", b"\r\n%b\r\n" % more)


BEGINNINGS: dict[str, tuple[Any, ...]] = {
    "nothing but its mark": (HEAD + frame(DONE) + END,),
    "nothing": (HEAD + END,),
    "all of it in one frame": (framed(event("first") + event("next") + DONE),),
    "its mark behind an event": (HEAD + FIRST + frame(event("next") + DONE) + END,),
    "its mark before an event": (HEAD + FIRST + frame(DONE + event("next")) + END,),
    "events behind each other in a frame": (HEAD + frame(event("first") + event("2") + event("3")), NEXT, LAST),
    "half of an event in its first frame": (HEAD + frame(event("first")[:9]), frame(event("first")[9:]), LAST),
    "an error": (HEAD + said(b'{"error": {"message": "no"}}') + LAST,),
    "no error": (HEAD + said(b'{"error": null, "choices": []}'), NEXT, LAST),
    "an error in another's text": (HEAD + said(b'{"choices": [], "text": "an \\"error\\""}'), NEXT, LAST),
    "an error in a frame with others": (HEAD + frame(event("first") + ERROR) + LAST,),
    "a type": (HEAD + said(b'{"type": "message_start", "choices": []}'), NEXT, LAST),
    "a type that has failed": (HEAD + said(b'{"type": "response.failed"}'), LAST),
    "a type that has failed, with usage": (HEAD + FIRST, said(b'{"type": "response.failed", %b}' % USAGE), NEXT, LAST),
    "a type in escapes, with usage": (HEAD + FIRST, said(b'{"type": "\\u0065rror", %b}' % USAGE), NEXT, LAST),
    "a type with usage": (HEAD + FIRST, said(b'{"type": "chunk", %b}' % USAGE), NEXT, LAST),
    "a type that is no text": (HEAD + said(b'{"type": 1}'), NEXT, LAST),
    "a message that tells usage": (HEAD + said(b'{"message": {%b}}' % USAGE), NEXT, LAST),
    "a response that tells usage": (HEAD + said(b'{"response": {%b}}' % USAGE), NEXT, LAST),
    "usage at once": (HEAD + said(b'{"choices": [], %b}' % USAGE), NEXT, LAST),
    "usage null at once": (HEAD + said(b'{"choices": [], "usage": null}'), NEXT, said(b"{%b}" % USAGE) + LAST),
    "usage with another's name": (HEAD + FIRST, said(b'{"usage": {"input_tokens": 7, "output_tokens": 5}}') + LAST),
    "usage with both names": (
        HEAD + FIRST, said(b'{"usage": {"prompt_tokens": 7, "output_tokens": 5}}') + LAST,
    ),
    "usage twice, less in the second": (
        HEAD + FIRST + COUNTED, said(b'{"usage": {"prompt_tokens": 3, "completion_tokens": 50}}') + LAST,
    ),
    "usage of a half": (HEAD + FIRST, said(b'{"usage": {"prompt_tokens": 7}}'), LAST),
    "usage of the other half": (HEAD + FIRST, said(b'{"usage": {"completion_tokens": 7}}'), LAST),
    "usage of zeros": (HEAD + FIRST, said(b'{"usage": {"prompt_tokens": 0, "completion_tokens": 0}}'), LAST),
    "usage below zero": (HEAD + FIRST, said(b'{"usage": {"prompt_tokens": -7, "completion_tokens": 5}}'), LAST),
    "usage in fractions": (HEAD + FIRST, said(b'{"usage": {"prompt_tokens": 7.5, "completion_tokens": 5}}'), LAST),
    "usage larger than any": (HEAD + FIRST, said(b'{"usage": {"prompt_tokens": 9999999999}}'), LAST),
    "usage that is no object": (HEAD + FIRST, said(b'{"usage": 7}'), said(b'{"usage": []}'), LAST),
    "usage of nothing": (HEAD + FIRST, said(b'{"usage": {}}'), NEXT, LAST),
    "usage deeper in it": (HEAD + FIRST, said(b'{"choices": [{%b}]}' % USAGE), NEXT, LAST),
    "usage named twice": (HEAD + FIRST, said(b'{"usage": null, %b}' % USAGE), NEXT, LAST),
    "usage in a text": (HEAD + FIRST, said(b'{"choices": [], "text": "\\"usage\\": 1"}'), NEXT, LAST),
    "usage and a choice": (HEAD + FIRST, said(b'{"choices": [{"finish_reason": "stop"}], %b}' % USAGE) + LAST),
    "usage of which some was kept": (HEAD + FIRST + NULL, said(b'{"choices": [], %b}' % CACHED) + LAST),
    "usage in the frame of its mark": (HEAD + FIRST, frame(b"data: {%b}\n\n" % USAGE + DONE) + END),
    "usage without its mark": (HEAD + FIRST, said(b"{%b}" % USAGE) + END),
    "usage before the rest": (HEAD + FIRST + said(b"{%b}" % USAGE), NEXT, NEXT, LAST),
    "no JSON": (HEAD + said(b"{broken}"), NEXT, LAST),
    "no JSON later": (HEAD + FIRST, said(b"{broken}"), NEXT, LAST),
    "no JSON that names usage": (HEAD + FIRST, said(b'{"usage": broken}'), NEXT, LAST),
    "no object": (HEAD + said(b"[1]"), NEXT, LAST),
    "no text": (HEAD + said(b'{"a": "\xff"}'), NEXT, LAST),
    "no text later": (HEAD + FIRST, said(b'{"a": "\xff"}'), NEXT, LAST),
    "a name twice": (HEAD + said(b'{"error": {"message": "no"}, "error": null}'), NEXT, LAST),
    "a name in escapes": (HEAD + said(b'{"\\u0065rror": {"message": "no"}}'), NEXT, LAST),
    "a name in escapes later": (HEAD + FIRST, said(b'{"\\u0065rror": {"message": "no"}}'), NEXT, LAST),
    "usage in escapes": (HEAD + FIRST, said(b'{"\\u0075sage": {"prompt_tokens": 7}}'), NEXT, LAST),
    "no blank behind data": (HEAD + FIRST, frame(b"data:{}\n\n"), NEXT, LAST),
    "an empty object": (HEAD + said(b"{}"), said(b"{}"), NEXT, LAST),
    "blanks in an object": (HEAD + said(b' { "choices" : [] } '), said(b'{ "usage" : {"prompt_tokens": 7} }'), LAST),
    "a comment first": (HEAD + frame(b": ping\n\n"), FIRST, LAST),
    "a field first": (HEAD + frame(b"event: x\n" + event("first")), NEXT, LAST),
    "ends of line of two bytes": (HEAD + frame(b'data: {"a": 1}\r\n\r\n'), NEXT, LAST),
    "an extension": (HEAD + FIRST.replace(b"\r\n", b";a=1\r\n", 1), NEXT, LAST),
    "a size with zeros": (HEAD + b"00" + FIRST, NEXT, LAST),
    "an end with zeros": (HEAD + FIRST, frame(DONE) + b"000\r\n\r\n"),
    "something behind its end": (HEAD + FIRST, LAST, b"x"),
    "a second answer behind it": (HEAD + FIRST, LAST, HEAD + FIRST),
    "two marks": (HEAD + FIRST, frame(DONE), frame(DONE), END),
    "an event behind its mark": (HEAD + FIRST, frame(DONE), NEXT + END),
    "a mark with no end": (HEAD + FIRST, frame(DONE), LOST),
    "it closes behind its head": (HEAD, LOST),
    "it closes in its first event": (HEAD + FIRST[:20], LOST),
    "it closes behind its first event": (HEAD + FIRST, LOST),
    "it closes behind an event": (HEAD + FIRST, NEXT, LOST),
    "it closes behind its end": (HEAD + FIRST, NEXT, LAST, LOST),
    "it says that it closes": (head(b"connection: close\r\n") + FIRST, NEXT, LAST),
    "it says that it stays": (head(b"connection: keep-alive\r\n") + FIRST, NEXT, LAST),
    "packed": (head(b"content-encoding: gzip\r\n") + FIRST, NEXT, LAST),
    "another type": (head().replace(b"text/event-stream", b"application/json") + FIRST, NEXT, LAST),
    "no type": (HEAD.replace(b"content-type: text/event-stream\r\n", b"") + FIRST, NEXT, LAST),
    "a length instead of frames": (
        HEAD.replace(b"transfer-encoding: chunked", b"content-length: %d" % len(event("first") + DONE))
        + event("first") + DONE,
    ),
    "status 201": (head(status=b"201 Created") + FIRST, LAST),
    "status 400 in frames": (head(status=b"400 Bad Request") + frame(b'{"error": {"message": "no"}}') + END,),
    "status 500 in frames": (head(status=b"500 Internal Server Error") + frame(b"{}") + END,),
}  # fmt: skip
LATER = {
    name: (HEAD + FIRST, *case.pieces, *([LOST] if case.end else [])) for name, case in CASES.items()
}  # fmt: skip
STREAMS = {**{f"begins with {name}": pieces for name, pieces in BEGINNINGS.items()}, **LATER}
WHOLLY = ("one by one", "at once", "byte by byte", "cut in a size", "upper case", "two events in a frame", "usage",
          "usage at the end", "begins with all of it in one frame", "begins with its mark behind an event",
          "begins with usage in the frame of its mark", "begins with usage twice, less in the second")  # fmt: skip
"""Of which nothing is for Python."""
FAULTY = ("an error", "no JSON where it counts", "a wrong size", "begins with something behind its end",
          "begins with a second answer behind it", "begins with an error in a frame with others",
          "begins with no JSON that names usage", "begins with a type that has failed, with usage",
          "begins with a type in escapes, with usage")  # fmt: skip
"""What of a stream goes out before a fault that comes in one read or frame with it is each hop's own, and depends in
Python too on what else was in that read: it sends on what has come of a frame, and C waits for the rest of it. They are
not cut anew, but for all at once and all byte by byte."""


def cuts_of(name: str) -> dict[str, tuple[Any, ...]]:
    """Ways in which the same bytes come."""
    pieces = STREAMS[name]
    data, end = b"".join(piece for piece in pieces if piece is not LOST), pieces[-1:] if pieces[-1] is LOST else ()
    place = data.index(b"\r\n\r\n") + 4
    cuts = {
        "as they are": pieces,
        "at once": (data, *end),
        "head alone": (data[:place], data[place:], *end),
        "in the first event": (data[: place + 20], data[place + 20 :], *end),
        "in the middle": (data[: len(data) // 2], data[len(data) // 2 :], *end),
    }
    if name in FAULTY:
        cuts = {cut: cuts[cut] for cut in ("as they are", "at once")}
    if len(data) < SMALL:
        cuts["byte by byte"] = (*(data[at : at + 1] for at in range(len(data))), *end)
        if name not in FAULTY:
            cuts["byte by byte behind its head"] = (data[:place], *cuts["byte by byte"][place:])
    return {cut: tuple(piece for piece in came if piece) for cut, came in cuts.items()}


async def streamed(drive: Drive, client: Client, *answer: Any) -> Client:
    """By C, where that is asked. A connection to the engine, and one of the client's, rest afterwards."""
    before = drive.served
    await drive.ask(client, STREAM, *answer)
    if client.closed:
        client = await drive.client()
    for _ in range(3):
        await drive.ask(client, posted())
    assert (drive.served - before > 1) is (drive.edge == "native")
    return client


def told_alike(native: Told, wire: Told) -> None:
    """But for the frames of a stream, which are each hop's own."""
    assert [one.same() for one in heard(native.client)] == [one.same() for one in heard(wire.client)]
    native.client = wire.client = b""
    assert native == wire
    assert (native.in_flight, native.parallel) == (0, {})


@pytest.mark.parametrize("name", STREAMS)
@in_a_loop
async def test_whatever_an_engine_streams_c_says_what_python_says(name: str, tmp_path: Path) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        for answer in cuts_of(name).values():
            client = await streamed(drive, client, *answer)

    native, wire, _ = await on_both(tmp_path, story)
    told_alike(native, wire)


@pytest.mark.parametrize("name", WHOLLY)
@in_a_loop
async def test_what_engines_nearly_always_send_is_not_for_python(name: str, tmp_path: Path) -> None:
    """From its request to its last byte, however it is cut, but in its head."""
    async with driven(tmp_path / "one", "native") as drive:
        client = await drive.taken_over(posted())
        answers = [answer for cut, answer in cuts_of(name).items() if cut != "byte by byte"]
        for answer in answers:
            client = await streamed(drive, client, *answer)
        assert (drive.served, drive.handed_over) == (4 * len(answers), 0)


@pytest.mark.parametrize("kind", ANSWERS)
@in_a_loop
async def test_an_answer_that_is_no_stream_though_one_was_asked_for_is_that_of_python(
    kind: str, tmp_path: Path
) -> None:
    async def story(drive: Drive) -> None:
        client = await drive.taken_over(posted())
        client = await streamed(drive, client, *ANSWERS[kind])

    native, wire, _ = await on_both(tmp_path, story)
    told_alike(native, wire)


@pytest.mark.parametrize("request_", [
    posted("free", stream=True), posted("saver", stream=True), posted("single", stream=True),
    posted(stream=True, stream_options={"include_usage": True}), posted(stream=True, max_tokens=30, n=2),
    posted(path="completions", prompt="a", stream=True), posted(path="embeddings", input="x", stream=True),
    posted(stream=False), posted(stream=None), posted("bounded", stream=True), posted(model="other", stream=True),
])  # fmt: skip
@pytest.mark.parametrize(
    "told", [COUNTED, NEXT, said(b'{"choices": [], %b}' % CACHED)], ids=["usage", "none", "cached"]
)
@in_a_loop
async def test_whoever_asks_for_a_stream_is_asked_and_counted_alike(
    request_: bytes, told: bytes, tmp_path: Path
) -> None:
    """Their limits too: what an answer has taken of them is by its usage, or by its events."""

    async def story(drive: Drive) -> None:
        client = await drive.client()
        for _ in range(4):
            await drive.ask(client, request_, HEAD + FIRST, NEXT + told, LAST)
            if client.closed:
                client = await drive.client()

    native, wire, _ = await on_both(tmp_path, story)
    told_alike(native, wire)
