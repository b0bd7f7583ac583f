"""The events of one stream that goes by, and what is counted of them: as `stream.EventReader` and `telemetry/gaps.py`
have it, of what engines nearly always send."""

from nexus_native cimport gaps
from nexus_native.forms cimport now
from nexus_native.gaps cimport check_bounds
from nexus_native.plain_frame cimport (
    EVENT_DONE, EVENT_OBJECT, FRAME_EVENTS, FRAME_LAST, FRAME_PART, EventKind, FrameKind, PlainFrame,
    is_good_beginning, read_event, read_event_usage, read_frame, tells_no_usage,
)
from nexus_native.plain_json cimport PlainUsage

cdef extern from "<string.h>" nogil:
    void* memmem(const void* data, size_t length, const void* wanted, size_t size)


cdef class Events:
    def __cinit__(self, tuple bounds not None):
        """`bounds`: of gaps, in seconds."""
        check_bounds(bounds)
        self._bounds = bounds

    cdef Walked walk(self, const char* data, Py_ssize_t length, Py_ssize_t* passed) except *:
        """Over as many whole frames as go on as they are: `passed` bytes. STOPS: what is behind them does not. ENDED:
        they were the last, and nothing is behind them."""
        cdef PlainFrame frame
        cdef FrameKind kind
        cdef Py_ssize_t place = 0
        cdef long before = self.events, more
        cdef Walked found = GOES_ON
        while place < length:
            kind = read_frame(data + place, length - place, &frame)
            if kind == FRAME_PART:
                break
            if kind == FRAME_LAST:
                found = ENDED if self.done and place + frame.whole == length else STOPS
                place += frame.whole if found == ENDED else 0
                break
            more = self._events_in(&frame) if kind == FRAME_EVENTS and not self.done else 0
            if not more:
                found = STOPS
                break
            self.bytes += frame.size
            self.events += more
            place += frame.whole
        if self.events > before:
            self._count(self.events - before, not before)
        passed[0] = place
        return found

    cdef long _events_in(self, const PlainFrame* frame) noexcept:
        """0 where one of them does not go on."""
        cdef const char* event = frame.payload
        cdef Py_ssize_t left = frame.size, length
        cdef EventKind kind
        cdef long found = 0
        while left:
            kind = read_event(event, left, &length)
            if kind == EVENT_DONE and left == length and self.events + found:
                self.done = True
            elif kind != EVENT_OBJECT or not self._goes_on(event, length, not self.events and not found):
                return 0
            found += 1
            event += length
            left -= length
        return found

    cdef bint _goes_on(self, const char* event, Py_ssize_t length, bint first) noexcept:
        """Nothing stands in it that is looked for, or a usage that is read."""
        cdef PlainUsage usage
        if first and not is_good_beginning(event, length):
            return False
        if memmem(event, length, b'"error"', 7) != NULL:
            return False
        if memmem(event, length, b'"usage"', 7) == NULL or tells_no_usage(event, length):
            return True
        if not read_event_usage(event, length, &usage):
            return False
        self.told_usage = True
        self.prompt, self.completion = max(self.prompt, usage.prompt), max(self.completion, usage.completion)
        self.cached = max(self.cached, usage.cached)
        return True

    cdef void _count(self, long events, bint first) noexcept:
        """The first event of all is no gap."""
        if not first:
            gaps.came(&self.waits, self._bounds, events)
        else:
            self.waits.counts[0] += events - 1
            self.waits.asked = now()

    cdef list counts(self):
        return gaps.counts_of(&self.waits, self._bounds)

    def gaps(self):
        """(when more was asked last, counts by the bounds, sum and longest in seconds)."""
        return self.waits.asked, self.counts(), self.waits.total, self.waits.longest
