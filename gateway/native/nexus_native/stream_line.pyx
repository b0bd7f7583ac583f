"""A stream of events from an engine's socket to a client's.

What is relayed here is what `Streamed.take_frame` takes: whole frames, each with one event of an object on one line in
which nothing stands that is looked for. Anything else is delivered, and from then on `ready` is asked before each piece
whether it may go straight again. Counted is here what Python counts for each piece; `taken` gives it back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memchr, memcmp

from nexus_native.plane cimport Line, Plane

cdef extern from "<string.h>" nogil:
    void* memmem(const void* data, size_t length, const void* wanted, size_t size)

cdef extern from "<time.h>" nogil:
    ctypedef long time_t

    cdef struct timespec:
        time_t tv_sec
        long tv_nsec

    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* time)

cdef enum:
    MOST_BOUNDS = 31
    MOST_DIGITS = 8  # of a frame's size, as in upstreams/plain_answer.py
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
    cdef double _asked
    cdef long _events
    cdef long long _bytes
    cdef double _total
    cdef double _longest
    cdef unsigned int _counts[MOST_BOUNDS + 1]
    cdef list _last

    def __init__(self, Plane plane not None, int source, int sink, ready, deliver, over, spill, tuple marks, bint keeps,
                 tuple bounds, double asked):
        """`ready`: whether what has come may go straight. `deliver`: takes what does not. `over`: nothing more can be
        read, or what one of these has raised. `spill`: takes what the sink had no room for. `bounds`: of gaps, in
        seconds. `asked`: when more was asked of the engine."""
        if len(bounds) > MOST_BOUNDS or any([type(bound) is not float for bound in bounds]):
            raise ValueError(f"bounds: {bounds}: at most {MOST_BOUNDS} floats")
        self.plane, self.source, self._sink = plane, source, sink
        self._ready, self._deliver, self._over, self._spill = ready, deliver, over, spill
        self._marks, self._keeps, self._asked = marks, keeps, asked
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
        cdef int number
        last = max(self._asked, asked)
        counts = [self._counts[number] for number in range(len(self._bounds) + 1)]
        found = (last, self._events, self._bytes, counts, self._total, self._longest, self._last)
        self._last, self._asked = [], last
        self._forget()
        return found

    cdef void _forget(self) noexcept:
        cdef int number
        self._events = self._bytes = 0
        self._total = self._longest = 0.0
        for number in range(MOST_BOUNDS + 1):
            self._counts[number] = 0

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
                self._count(events)
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
        cdef Py_ssize_t size = 0, whole, place
        cdef int digits = 0
        cdef unsigned char digit
        cdef bint upper = False, lower = False
        while digits < length and digits <= MOST_DIGITS:
            digit = <unsigned char>data[digits]
            if 48 <= digit <= 57:
                size = size * 16 + digit - 48
            elif 97 <= digit <= 102:
                size, lower = size * 16 + digit - 87, True
            elif 65 <= digit <= 70:
                size, upper = size * 16 + digit - 55, True
            else:
                break
            digits += 1
        whole = digits + size + 4
        if digits == 0 or digits > MOST_DIGITS or data[0] == b"0" or (upper and lower) or size < 10 or whole > length:
            return 0
        place = digits + 2
        if memcmp(data + digits, b"\r\ndata: {", 9) or memcmp(data + whole - 5, b"}\n\n\r\n", 5):
            return 0
        # Within the event's line, which begins behind the size's and ends before the last four bytes.
        if memchr(data + place, b"\n", size - 2) != NULL or memchr(data + place, b"\r", size - 2) != NULL:
            return 0
        if self._says_something(data + place, size):
            return 0
        self._bytes += size
        if self._keeps:
            self._last.append(PyBytes_FromStringAndSize(data, whole))
            if len(self._last) > LAST:
                del self._last[0]
        return whole

    cdef bint _says_something(self, const char* event, Py_ssize_t length) except -1:
        cdef bytes mark
        for mark in self._marks:
            if memmem(event, length, PyBytes_AS_STRING(mark), PyBytes_GET_SIZE(mark)) != NULL:
                if mark != _USAGE or not _tells_none(event, length):
                    return True
        return False

    cdef void _count(self, long events) noexcept:
        """Events that come in one read are one wait and then none, see telemetry/gaps.py."""
        cdef timespec time
        cdef int number = 0
        clock_gettime(CLOCK_MONOTONIC, &time)
        cdef double now = time.tv_sec + time.tv_nsec / 1e9
        cdef double waited = now - self._asked
        self._asked = now
        while number < PyTuple_GET_SIZE(self._bounds) and _bound(self._bounds, number) < waited:
            number += 1
        self._counts[number] += 1
        self._counts[0] += events - 1
        self._events += events
        self._total += waited
        self._longest = max(self._longest, waited)


cdef inline double _bound(tuple bounds, int number) noexcept:
    return PyFloat_AS_DOUBLE(<object>PyTuple_GET_ITEM(bounds, number))


cdef bint _tells_none(const char* event, Py_ssize_t length) noexcept:
    """Whether usage is null wherever it is named."""
    cdef const char* end = event + length
    cdef const char* found = event
    while (found := <const char*>memmem(found, end - found, b'"usage"', 7)) != NULL:
        found += 7
        if not (end - found >= 5 and memcmp(found, b":null", 5) == 0
                or end - found >= 6 and memcmp(found, b": null", 6) == 0):
            return False
    return True
