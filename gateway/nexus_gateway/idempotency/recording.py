"""An `Exchange` that keeps what is sent, and from which others than its own client can read.

The first client and those who joined it are readers of one buffer, each at its own pace. Room for more is given when
the fastest of them has taken everything: a client that is stuck does not hold up its own retry. What is kept is bounded
by `largest`; an answer that grows beyond it is no more kept, the buffer becomes a window of that size, and whoever
joined and falls out of it is cut off. The first client never falls out: the window waits for it.

The end of an answer is held back until `finish`, so that no client has seen the end of an answer that is not kept: of
a whole answer its body, of a stream the piece with its end mark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from nexus_gateway.errors import STREAM_BROKEN, ClientGone
from nexus_gateway.exchange import Exchange, Headers, Waiter, failed, given
from nexus_gateway.relay import Broken
from nexus_gateway.stream import EventReader


class Room:
    """Bytes that all recordings of a process may hold together."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0

    def take(self, amount: int) -> bool:
        """True where there was so much; it is given back by `give`."""
        if self._taken + amount > self._most:
            return False
        self._taken += amount
        return True

    def give(self, amount: int) -> None:
        self._taken -= amount


class Recording:
    """The port `Exchange`, over the first client's own."""

    def __init__(
        self, inner: Exchange, ends: Collection[str], largest: int, room: Room, over: Callable[[], None]
    ) -> None:
        """`ends` as `EventReader` has them. `over` is called when there is nothing to join any more: everybody has
        left, or the answer is too large."""
        self.head, self.closed = inner.head, Waiter[None]()
        self.status, self.headers = 0, Headers()
        self.keeps = True
        """False once the answer is too large to be kept."""
        self.ended = False
        self.error: Exception | None = None
        self.drained: Waiter[None] = Waiter()
        """Settled when the first client has been given everything; fails with ClientGone where it has left."""
        self._inner, self._largest, self._room, self._over = inner, largest, room, over
        self._marks, self._whole, self._holding = EventReader(ends), False, False
        self._pieces: list[bytes] = []
        self._dropped = self._open = self._size = self._taken = 0
        """Pieces that are gone; the first that may not be read yet, among all; bytes of the answer; bytes of room."""
        self._first, self._joined = Reader(self), set[Reader]()
        self._stays, self._writing, self._until = True, False, 0.0
        self._story: Waiter[None] = given(None)
        inner.closed.then(self._first_left)

    # --- what the story writes to ------------------------------------------------------------------------------------

    def body(self) -> Waiter[bytes]:
        return self._inner.body()

    def start(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers
        self._whole = any(name == b"content-length" for name, _ in headers)
        if self._stays:
            self._inner.start(status, headers)
        self._wake()

    flowing = False

    def write(self, framed: bytes) -> None:
        """What is kept has no frames."""

    def socket(self) -> None:
        """What is kept goes to none."""

    def clear(self) -> bool:
        return False

    def send(self, data: bytes, seconds: float, framed: bytes = b"") -> Waiter[None]:
        if self.closed.settled:
            return failed(ClientGone())
        self._until = time.monotonic() + seconds
        self._append(data)
        if self._holding:
            return given(None)
        self._story, self._open = Waiter(), self._dropped + len(self._pieces)
        self._go_on()
        return self._story

    def end(self) -> None:
        """The story has no more to say; the clients are told by `finish`."""

    def finish(self, error: Exception | None = None) -> None:
        """Everybody may read to the end, and then gets `error` where there is one."""
        self._open, self.ended, self.error = self._dropped + len(self._pieces), True, error
        self._give_back()
        self._go_on()

    @property
    def answer(self) -> bytes:
        """The whole body, of an answer that can be kept."""
        return b"".join(self._pieces)

    # --- who reads ---------------------------------------------------------------------------------------------------

    def join(self) -> Reader:
        reader = Reader(self)
        self._joined.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        self._joined.discard(reader)
        self._look_who_stays()

    def has_more(self, reader: Reader) -> bool:
        return reader.place < self._open

    def has_lost(self, reader: Reader) -> bool:
        """True where what it would read next is gone."""
        return reader.place < self._dropped

    def take(self, reader: Reader) -> bytes:
        """All that the reader may have and has not."""
        data = b"".join(self._pieces[reader.place - self._dropped : self._open - self._dropped])
        reader.place = self._open
        reader.taken = self._size
        self._give_room()
        return data

    def _go_on(self) -> None:
        self._write_first()
        self._wake()
        self._trim()
        self._give_room()

    def _wake(self) -> None:
        for reader in list(self._joined):
            reader.wake()

    # --- the first client --------------------------------------------------------------------------------------------

    def _write_first(self) -> None:
        if not self._stays or self._writing:
            return
        if self.has_more(self._first):
            self._writing = True
            written = self._inner.send(self.take(self._first), max(0.0, self._until - time.monotonic()))
            written.then(lambda: self._wrote(written))
        elif self.ended and not self.drained.settled:
            if self.error is None:
                self._inner.end()
            self.drained.give(None)

    def _wrote(self, written: Waiter[None]) -> None:
        self._writing = False
        if written.error is not None:
            self._first_left()
            return
        self._write_first()
        self._trim()
        self._give_room()

    def _first_left(self) -> None:
        self._stays = False
        self.drained.fail(ClientGone())
        self._look_who_stays()

    def _look_who_stays(self) -> None:
        if self._stays or self._joined:
            self._trim()
            self._give_room()
        elif not self.ended and not self.closed.settled:
            self._over()
            self.closed.give(None)
            self._story.fail(ClientGone())

    # --- bounds ------------------------------------------------------------------------------------------------------

    def _append(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if not self.keeps:
            return
        if self._size <= self._largest and self._room.take(len(data)):
            self._taken += len(data)
            self._holding = self._whole or self._has_end_mark(data)
            return
        self.keeps = self._holding = False
        self._give_back()
        self._over()

    def _has_end_mark(self, data: bytes) -> bool:
        self._marks.feed(data)
        return self._marks.done

    def _give_back(self) -> None:
        self._room.give(self._taken)
        self._taken = 0

    def _trim(self) -> None:
        """Of an answer that is not kept: drops what everybody has, and of the rest what is beyond the window."""
        if self.keeps:
            return
        first = self._first.place if self._stays else self._open
        slowest = min((first, *(reader.place for reader in self._joined)))
        held, count = sum(map(len, self._pieces)), 0
        while count < first - self._dropped and (self._dropped + count < slowest or held > self._largest):
            held -= len(self._pieces[count])
            count += 1
        del self._pieces[:count]
        self._dropped += count

    def _give_room(self) -> None:
        """Lets the story send more."""
        behind = self._stays and (self._writing or self.has_more(self._first))
        somebody = (self._stays and not behind) or any(not self.has_more(reader) for reader in self._joined)
        if somebody and not (behind and self._size - self._first.taken >= self._largest):
            self._story.give(None)


class Reader:
    """One who gets the answer from its beginning."""

    def __init__(self, recording: Recording) -> None:
        self.place = self.taken = 0
        """Of the next piece among all; bytes before it."""
        self._recording = recording
        self._waiting: Waiter[None] = given(None)

    def changed(self) -> Waiter[None]:
        """Settled when there is something new. Fails where the answer has, and with ClientGone after `leave`."""
        recording = self._recording
        if recording.ended and recording.error is not None:
            return failed(recording.error)
        self._waiting = Waiter()
        return self._waiting

    async def more(self) -> bytes:
        """Empty at the end. Raises what the answer has ended with, and Broken for a reader that is too slow."""
        while not self._recording.has_more(self):
            if self._recording.ended and self._recording.error is None:
                return b""
            await self.changed()
        if self._recording.has_lost(self):
            raise Broken(STREAM_BROKEN, "the client took the answer that it joined too slowly")
        return self._recording.take(self)

    def wake(self) -> None:
        self._waiting.give(None)

    def leave(self) -> None:
        """The client has gone, or has everything."""
        self._recording.leave(self)
        self._waiting.fail(ClientGone())
