"""Walks over the frames (chunks) of a body, so that whole ones can go on as they came: taken apart and put together
again they would be the same bytes."""

from __future__ import annotations

from nexus_gateway.upstreams.plain_answer import LONGEST_SIZE, frame_size
from nexus_gateway.upstreams.protocol import UpstreamFault

_END = b"\r\n"
_LAST = b"0\r\n\r\n"


class BadFrame(Exception):
    """The beginning of a frame that is no plain one: extensions, trailers, no number. Nobody has read any of it."""

    def __init__(self, before: list[bytes], rest: bytes) -> None:
        """`before`: payloads of the frames before it, which have not been told."""
        super().__init__()
        self.before, self.rest = before, rest


class Frames:
    """Of one body after the other."""

    __slots__ = ("_carry", "_left", "ended")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._carry = b""
        """The beginning of a size's line."""
        self._left = 0
        """Bytes of a frame that are to come, its end of line included."""
        self.ended = False

    @property
    def between(self) -> bool:
        """True where the next byte is the first of a frame."""
        return not self._left and not self._carry

    def walk(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The payloads in it, and the same in the frames in which it came, where they are whole; else empty. Raises
        BadFrame, and UpstreamFault for what is no HTTP."""
        if self.ended:
            raise UpstreamFault("it sent more than one answer")
        whole = self.between
        data, self._carry = self._carry + data, b""
        place, pieces = 0, list[bytes]()
        while place < len(data):
            if self._left:
                place = self._pass(data, place, pieces)
            elif data.startswith(_LAST, place):
                self.ended = True
                if len(data) > place + len(_LAST):
                    raise UpstreamFault("it sent more than one answer")
                break
            elif _is_begun(data, place):
                self._carry = data[place:]
                break
            else:
                place = self._enter(data, place, pieces)
        return pieces, data[:place] if whole and not self._left else b""

    def _enter(self, data: bytes, place: int, pieces: list[bytes]) -> int:
        """Begins a frame. Where its payload does."""
        end = data.find(_END, place, place + LONGEST_SIZE + len(_END))
        size = frame_size(data[place:end]) if end > place else None
        if not size:
            raise BadFrame(pieces, data[place:])
        self._left = size + len(_END)
        return end + len(_END)

    def _pass(self, data: bytes, place: int, pieces: list[bytes]) -> int:
        """As much of the frame as has come. Where the rest begins."""
        payload = data[place : place + max(0, self._left - len(_END))]
        if payload:
            pieces.append(payload)
        place, self._left = place + len(payload), self._left - len(payload)
        if self._left <= len(_END):
            end = data[place : place + self._left]
            if not _END[-self._left :].startswith(end):
                raise UpstreamFault("it does not speak HTTP")
            place, self._left = place + len(end), self._left - len(end)
        return place


def _is_begun(data: bytes, place: int) -> bool:
    """True where what comes next is the beginning of a size's line, or of the end, that may yet become plain."""
    left = len(data) - place
    if left > LONGEST_SIZE + 1 or data.find(b"\n", place) >= 0:
        return _LAST.startswith(data[place:])
    return True
