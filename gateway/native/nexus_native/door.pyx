"""What all lines of one gateway ask before a request sets out, and where they tell of it when it has ended."""

import time

from nexus_native.native_way cimport NativeWay
from nexus_native.plane cimport Plane


cdef class Door:
    def __init__(self, Plane plane not None, gateway, loop, find, tell):
        """`find(known, model)`: the way, or None. `tell(lines, count, decisions)`: at the end of each turn in which
        requests have ended, the log's lines and those of the audit log."""
        self.plane, self._gateway, self._loop, self._find, self._tell = plane, gateway, loop, find, tell
        self.metrics, self._served, self._ring = gateway.metrics, gateway.served, gateway.known.ring
        self.circuits, self._most_in_flight = gateway.breakers.circuits, gateway.most_in_flight
        self.asking, self._counted, self._decisions = set(), set(), []
        self._lines, self._line_count, self._clock, self._rings = bytearray(), 0, None, 0.0

    cdef bint opens(self, NativeWay way) except -1:
        """Whether it is still the way of that caller, and nothing keeps anybody out."""
        if way.snapshot is not self._served.current or way.keys is not self._ring.keys or self._gateway.draining:
            return False
        if way.expires and time.time() >= way.expires:
            return False
        if self.circuits and way.endpoint in self.circuits:
            return False
        return 2 * <long long>self.metrics.in_flight < self._most_in_flight

    cdef NativeWay find(self, known, bytes model):
        return self._find(known, model)

    cdef int begun(self, object line, double until) except -1:
        """`line` asks, and must have an answer by then."""
        self.asking.add(line)
        if self._clock is None:
            self._ring_at(until)
        elif until < self._rings:
            self._clock.cancel()
            self._ring_at(until)
        return 0

    cdef int _ring_at(self, double time) except -1:
        self._rings = time
        self._clock = self._loop.call_at(time, self.ring)
        return 0

    def ring(self):
        """Some may have waited for too long."""
        now, self._clock = time.monotonic(), None
        for line in tuple(self.asking):
            line.look_at_time(now)
        if self.asking and self._clock is None:
            self._ring_at(min([line.until for line in self.asking]))

    cdef int say(self, NativeWay way, const char* line, Py_ssize_t length) except -1:
        self._lines += line[:length]
        self._line_count += 1
        if self._line_count == 1:
            self.plane.tells(self)
        self._counted.add(way)
        return 0

    cdef int decided(self, bytes decision) except -1:
        self._decisions.append(decision)
        return 0

    def tell(self):
        """What has ended in this turn."""
        lines, count, decisions = self._lines, self._line_count, self._decisions
        self._lines, self._line_count, self._decisions = bytearray(), 0, []
        try:
            self._tell(lines, count, decisions)
        except Exception as fault:  # of ours: whoever else has something to tell tells it
            self._loop.call_exception_handler({"message": "what has ended could not be told", "exception": fault})

    def counted(self):
        """The ways that something was counted of since it was asked last."""
        found, self._counted = self._counted, set()
        return found

    def leave(self):
        """All that is under way goes on in Python."""
        for line in tuple(self.asking):
            line.hand_back()
