"""A stream that has begun: room, silence, its end and its faults, without sockets and with a clock of the test's."""

from __future__ import annotations

import pytest

from nexus_gateway import streamed
from nexus_gateway.endings import ending_in
from nexus_gateway.errors import ClientGone
from nexus_gateway.exchange import WRITTEN, Waiter
from nexus_gateway.stream import BadStream, EventReader
from nexus_gateway.streamed import Streamed
from nexus_gateway.telemetry.gaps import Gaps
from nexus_gateway.upstreams.protocol import Taker, UpstreamFault, UpstreamSlow

from .test_exchange import PlainExchange

EVENT = b'data: {"choices": []}\n\n'
DONE = b"data: [DONE]\n\n"


class Roomy(PlainExchange):
    """Has room until it is told that it has none."""

    roomy = True

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        waiter = super().send(data, seconds, framed)
        self.framed = framed
        return WRITTEN if self.roomy else waiter


class Engine:
    """The port `Source`: says what the test says."""

    def __init__(self) -> None:
        self.taker: Taker | None = None
        self.held, self.hurried = False, 0

    def pour(self, taker: Taker) -> None:
        self.taker = taker

    def hold(self) -> None:
        self.held = True

    def go_on(self) -> None:
        self.held = False

    def hurry(self) -> None:
        """As a connection does, who gives up at once when the taker's patience is over."""
        self.hurried += 1
        assert self.taker
        try:
            self.taker.patience()
        except UpstreamSlow as slow:
            self.taker.over(slow)


class Relayed:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(streamed, "monotonic", lambda: self.now)
        self.exchange, self.engine, self.gaps = Roomy(), Engine(), Gaps()
        self.reader = EventReader()
        self.reader.feed(EVENT)
        self.stream = Streamed(self.exchange, self.engine, self.reader, self.gaps, quiet=5.0, deadline=160.0)
        self.stream.begin(EVENT)

    def say(self, data: bytes, framed: bytes = b"") -> None:
        self.stream.take(data, framed)


@pytest.fixture
def relayed(monkeypatch: pytest.MonkeyPatch) -> Relayed:
    return Relayed(monkeypatch)


def test_it_goes_on_to_its_end_mark(relayed: Relayed) -> None:
    relayed.say(EVENT, b"framed")
    assert relayed.exchange.framed == b"framed"
    relayed.say(DONE)
    relayed.stream.over(None)
    assert (relayed.exchange.sent, relayed.stream.ended.settled) == (EVENT + EVENT + DONE, True)
    assert (relayed.stream.ended.error, relayed.stream.bytes, relayed.reader.events) == (None, len(EVENT) * 2 + 14, 3)


def test_what_is_behind_the_end_mark_goes_out_in_no_form(relayed: Relayed) -> None:
    relayed.say(DONE + EVENT, b"framed")
    assert (relayed.exchange.sent, relayed.exchange.framed) == (EVENT + DONE, b"")
    relayed.say(EVENT)
    assert isinstance(relayed.stream.ended.error, BadStream)
    relayed.say(EVENT)
    assert relayed.exchange.sent == EVENT + DONE


def test_an_end_after_a_long_silence_goes_out_whole(relayed: Relayed) -> None:
    """Longer than the connection has to end once the mark has come."""
    relayed.now += 4.0
    relayed.say(EVENT + DONE)
    assert (relayed.stream.ended.error, relayed.exchange.sent) == (None, EVENT + EVENT + DONE)
    assert relayed.gaps.longest == 4.0


def test_without_an_end_mark_it_is_broken(relayed: Relayed) -> None:
    relayed.stream.over(None)
    assert "before its end mark" in str(relayed.stream.ended.error)


@pytest.mark.parametrize("piece", [b'data: {"error": {"message": "x"}}\n\n', b'data: {"usage": {\n\n'])
def test_an_event_that_must_not_go_on_ends_it(relayed: Relayed, piece: bytes) -> None:
    relayed.say(piece)
    assert isinstance(relayed.stream.ended.error, BadStream)
    assert relayed.exchange.sent == EVENT


def test_a_client_without_room_holds_the_engine_and_the_wait_is_not_the_engines(relayed: Relayed) -> None:
    relayed.exchange.roomy = False
    relayed.say(EVENT)
    assert relayed.engine.held
    relayed.now += 50.0  # far longer than an engine may be silent
    assert relayed.stream.patience() > 0
    relayed.exchange.room[-1].give(None)
    assert not relayed.engine.held
    relayed.now += 1.0
    relayed.say(EVENT)
    assert relayed.gaps.longest == 1.0


def test_a_client_that_goes_ends_it(relayed: Relayed) -> None:
    relayed.exchange.roomy = False
    relayed.say(EVENT)
    relayed.exchange.room[-1].fail(ClientGone())
    assert isinstance(relayed.stream.ended.error, ClientGone)


def test_an_engine_that_is_silent_too_long_is_given_up(relayed: Relayed) -> None:
    relayed.now += 4.0
    assert relayed.stream.patience() == pytest.approx(1.0)
    relayed.say(EVENT)
    relayed.now += 4.0
    assert relayed.stream.patience() == pytest.approx(1.0), "what came in between counts"
    relayed.now += 1.0
    with pytest.raises(UpstreamSlow, match="silent"):
        relayed.stream.patience()


def test_an_engine_that_never_stops_is_given_up(relayed: Relayed) -> None:
    while relayed.now < 160.0:
        relayed.say(EVENT)
        assert relayed.stream.patience() > 0
        relayed.now += 4.0
    with pytest.raises(UpstreamSlow, match="longer than the whole request"):
        relayed.stream.patience()


def test_after_the_end_mark_nobody_waits_long(relayed: Relayed) -> None:
    relayed.say(DONE)
    assert (relayed.stream.patience(), relayed.engine.hurried) == (1.0, 1)


def test_a_fault_of_the_engine_ends_it(relayed: Relayed) -> None:
    relayed.stream.over(UpstreamFault("cut"))
    assert str(relayed.stream.ended.error) == "cut"


USAGE = b'{"prompt_tokens": 3, "completion_tokens": 4}'


@pytest.mark.parametrize(
    ("event", "plain", "tokens"),
    [
        (EVENT, True, 0),
        (b'data: {"usage":null}\n\n', True, 0),
        (b'data: {"usage": null, "choices": []}\n\n', True, 0),
        (b'data: {"usage": null, "more": {"usage": ' + USAGE + b"}}\n\n", False, 0),
        (b'data: {"usage": ' + USAGE + b"}\n\n", False, 7),
        (b'data: {"usage" : null}\n\n', False, 0),
        (EVENT + EVENT, False, 0),
        (b'data: {"a": 1}\r\n\r\n', False, 0),
        (b'data: {"a":\ndata: 1}\n\n', False, 0),
        (b": comment\n\n", False, 0),
        (b"data: {", False, 0),
        (DONE, False, 0),
    ],
)
def test_a_frame_goes_on_unread_only_where_nothing_in_it_is_looked_for(
    relayed: Relayed, event: bytes, plain: bool, tokens: int
) -> None:
    frame = b"%x\r\n%b\r\n" % (len(event), event)
    relayed.exchange.flowing = True
    assert relayed.stream.take_frame(frame) is plain
    careful = EventReader()
    careful.feed(EVENT)
    careful.feed(event)
    if plain:
        assert relayed.exchange.sent == EVENT + frame
        assert relayed.stream.bytes == len(EVENT + event)
        assert (relayed.reader.events, ending_in(relayed.reader.last)) == (careful.events, ending_in(careful.last))
        assert sum(relayed.gaps.counts) == 1
    else:
        assert (relayed.exchange.sent, relayed.reader.events, relayed.reader.held) == (EVENT, 1, 0)
    assert sum((careful.usage or (0, 0))[:2]) == tokens


@pytest.mark.parametrize("frame", [
    b"17\r\n" + EVENT, b"17\r\n" + EVENT + b"\r\n0\r\n\r\n", b"16\r\n" + EVENT + b"\r\n", b"+17\r\n" + EVENT + b"\r\n",
    b"17;x\r\n" + EVENT + b"\r\n", b"000000017\r\n" + EVENT + b"\r\n", b"17\n" + EVENT + b"\r\n", EVENT,
])  # fmt: skip
def test_what_is_no_whole_frame_goes_on_as_none(relayed: Relayed, frame: bytes) -> None:
    relayed.exchange.flowing = True
    assert not relayed.stream.take_frame(frame)
    assert relayed.stream.take_frame(b"17\r\n" + EVENT + b"\r\n"), "the length is the one that is meant"


def test_no_frame_goes_past_what_waits(relayed: Relayed) -> None:
    assert not relayed.stream.take_frame(b"17\r\n" + EVENT + b"\r\n")
    relayed.exchange.flowing = True
    relayed.say(b"data: {")
    assert not relayed.stream.take_frame(b"17\r\n" + EVENT + b"\r\n"), "it stands within an event that has begun"


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_why_it_ended_is_found_in_a_frame_too(relayed: Relayed, reason: str) -> None:
    relayed.exchange.flowing = True
    event = b'data: {"choices": [{"delta": {}, "finish_reason": "%b"}]}\n\n' % reason.encode()
    assert relayed.stream.take_frame(b"%x\r\n%b\r\n" % (len(event), event))
    relayed.say(DONE)
    assert ending_in(relayed.reader.last) == reason
