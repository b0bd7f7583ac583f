"""A stream of events from an engine's socket to a client's.

What is relayed here is what `Streamed.take_frame` takes: whole frames, each with one event of an object on one line in
which nothing stands that is looked for. Anything else is delivered, and from then on `ready` is asked before each piece
whether it may go straight again. Counted is here what Python counts for each piece; `taken` gives it back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from nexus_native cimport gaps
from nexus_native.gaps cimport Gaps, check_bounds
from nexus_native.plain_frame cimport EVENT_OBJECT, FRAME_EVENTS, PlainFrame, read_event, read_frame, tells_no_usage
from nexus_native.plane cimport Line, Plane

cdef extern from "<string.h>" nogil:
    void* memmem(const void* data, size_t length, const void* wanted, size_t size)

cdef enum:
    LAST = 3  # events that are kept, as in stream.py

cdef bytes _USAGE = b'"usage"'


cdef class StreamLine(Line):
    cdef int _sink
    cdef object _ready
    cdef object _deliver
    cdef object _over
    cdef object _spill
    cdef tuple _marks
    cdef bint _keeps
    cdef bint _straight
    cdef tuple _bounds  # one for all streams: there are thousands
    cdef Gaps _gaps
    cdef long _events
    cdef long long _bytes
    cdef list _last

    def __init__(self, Plane plane not None, int source, int sink, ready, deliver, over, spill, tuple marks, bint keeps,
                 tuple bounds, double asked):
        """`ready`: whether what has come may go straight. `deliver`: takes what does not. `over`: nothing more can be
        read, or what one of these has raised. `spill`: takes what the sink had no room for. `bounds`: of gaps, in
        seconds. `asked`: when more was asked of the engine."""
        check_bounds(bounds)
        self.plane, self.source, self._sink = plane, source, sink
        self._ready, self._deliver, self._over, self._spill = ready, deliver, over, spill
        self._marks, self._keeps, self._gaps.asked = marks, keeps, asked
        self._bounds, self._last = bounds, []
        self._forget()
        self._straight = False
        self.watch()

    def end(self):
        """It is read by somebody else from now on."""
        self.unwatch()

    def taken(self, double asked):
        """(when more was asked last, events, bytes of events, counts, sum and longest of gaps in seconds, the last
        events) since it was asked last. From now on gaps count from `asked`, where that is later."""
        last, self._gaps.asked = self._last, max(self._gaps.asked, asked)
        counts = gaps.counts_of(&self._gaps, self._bounds)
        found = self._gaps.asked, self._events, self._bytes, counts, self._gaps.total, self._gaps.longest, last
        self._last = []
        self._forget()
        return found

    cdef void _forget(self) noexcept:
        self._events = self._bytes = 0
        gaps.forget(&self._gaps)

    cdef int came(self, const char* data, Py_ssize_t length) except -1:
        cdef Py_ssize_t place = 0, size
        cdef long events = 0
        if not self._straight:
            self._straight = self._ready()
        if self._straight:
            while place < length and (size := self._event(data + place, length - place)):
                place += size
                events += 1
            if place:
                self._events += events
                gaps.came(&self._gaps, self._bounds, events)
                self.plane.keep(place)
                self.plane.put(self, self._sink, data, place)
        if place < length:
            rest = PyBytes_FromStringAndSize(data + place, length - place)
            self.plane.write_out()  # what was before it, and then what the story writes
            if self.watched:
                self._straight = False
                self._deliver(rest)
        return 0

    cdef int gone(self) except -1:
        self._over(None)
        return 0

    cdef void failed(self, fault) noexcept:
        self._over(fault)

    cdef int spilled(self, const char* data, Py_ssize_t length) except -1:
        self._straight = False
        self._spill(PyBytes_FromStringAndSize(data, length))
        return 0

    cdef Py_ssize_t _event(self, const char* data, Py_ssize_t length) except -1:
        """Bytes of the frame that begins here; 0 where it is none that goes straight."""
        cdef PlainFrame frame
        cdef Py_ssize_t size
        if read_frame(data, length, &frame) != FRAME_EVENTS:
            return 0
        if read_event(frame.payload, frame.size, &size) != EVENT_OBJECT or size != frame.size:
            return 0
        if self._says_something(frame.payload, size):
            return 0
        self._bytes += size
        if self._keeps:
            self._last.append(PyBytes_FromStringAndSize(data, frame.whole))
            if len(self._last) > LAST:
                del self._last[0]
        return frame.whole

    cdef bint _says_something(self, const char* event, Py_ssize_t length) except -1:
        cdef bytes mark
        for mark in self._marks:
            if memmem(event, length, PyBytes_AS_STRING(mark), PyBytes_GET_SIZE(mark)) != NULL:
                if mark != _USAGE or not tells_no_usage(event, length):
                    return True
        return False
