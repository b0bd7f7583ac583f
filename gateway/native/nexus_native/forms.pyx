"""Texts that are the same for each request but for a few places: heads, log lines, audit lines.

Python writes each of them once, with marks in those places (straight/forms.py), so that what they say stands in one
place alone.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport llround
from libc.string cimport memcpy

import os

cdef extern from "<time.h>" nogil:
    ctypedef long time_t

    cdef struct timespec:
        time_t tv_sec
        long tv_nsec

    cdef struct tm:
        int tm_year, tm_mon, tm_mday, tm_hour, tm_min, tm_sec

    int CLOCK_MONOTONIC, CLOCK_REALTIME
    int clock_gettime(int clock, timespec* time)
    tm* gmtime_r(const time_t* time, tm* room)

cdef enum:
    MOST_PLACES = 16
    LONGEST_NUMBER = 24


cdef class Form:
    def __cinit__(self, tuple pieces, tuple fields):
        """Between two of the `pieces`, of bytes, stands one of the `fields`; of `NUMBER`s one after the other."""
        cdef int place
        if len(pieces) != len(fields) + 1 or len(fields) > MOST_PLACES:
            raise ValueError(f"fields: {len(fields)} between {len(pieces)} pieces, at most {MOST_PLACES}")
        if fields.count(NUMBER) > MOST_NUMBERS or any([type(piece) is not bytes for piece in pieces]):
            raise ValueError(f"pieces: bytes alone, and between them at most {MOST_NUMBERS} numbers")
        self._pieces, self._count = pieces, len(fields)
        for place in range(self._count):
            if not 0 <= fields[place] < MOST_FIELDS:
                raise ValueError(f"fields: {fields[place]}")
            self._fields[place] = fields[place]
        self.most = sum(map(len, pieces)) + 32 * self._count

    cdef Py_ssize_t fill(self, char* room, const Told* told) noexcept:
        """Bytes that are written; `room` has `most`."""
        cdef char* end = room
        cdef int place, field, numbers = 0
        cdef bytes piece
        for place in range(self._count + 1):
            piece = <bytes>self._pieces[place]
            memcpy(end, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            end += PyBytes_GET_SIZE(piece)
            if place == self._count:
                break
            field = self._fields[place]
            if field == REQUEST_ID:
                memcpy(end, told.ids, 32)
                end += 32
            elif field == TRACE_ID:
                memcpy(end, told.ids + 32, 32)
                end += 32
            elif field == SPAN_ID:
                memcpy(end, told.ids + 64, 16)
                end += 16
            elif field == CALL_ID:
                memcpy(end, told.ids + 80, 16)
                end += 16
            elif field == LENGTH:
                end = _number(end, told.length)
            elif field == NUMBER:
                end = _number(end, told.numbers[numbers])
                numbers += 1
            elif field == TIME:
                memcpy(end, told.date, TIME_LENGTH)
                end += TIME_LENGTH
            elif field == MILLISECONDS:
                end = _thousandths(end, told.milliseconds)
            elif field == FIRST_BYTE:
                end = _thousandths(end, told.first_byte)
            elif field == LONGEST_GAP:
                end = _thousandths(end, told.longest_gap)
            elif field == PROMPT:
                end = _number(end, told.prompt)
            elif field == COMPLETION:
                end = _number(end, told.completion)
            else:
                end = _number(end, told.cached)
        return end - room

    def filled(self, bytes ids not None, long long length, tuple numbers, bytes time not None, double milliseconds,
               double first_byte, double longest_gap, long long prompt, long long completion, long long cached):
        """One text, to look at. Times are milliseconds."""
        cdef Told told
        cdef int place
        if len(ids) != ID_DIGITS or len(time) != TIME_LENGTH or len(numbers) > MOST_NUMBERS:
            raise ValueError(f"ids: {len(ids)}, time: {len(time)}, numbers: {len(numbers)}")
        memcpy(told.ids, PyBytes_AS_STRING(ids), ID_DIGITS)
        memcpy(told.date, PyBytes_AS_STRING(time), TIME_LENGTH)
        for place in range(len(numbers)):
            told.numbers[place] = numbers[place]
        told.length, told.milliseconds = length, milliseconds
        told.first_byte, told.longest_gap = first_byte, longest_gap
        told.prompt, told.completion, told.cached = prompt, completion, cached
        room = bytearray(self.most)
        return bytes(room[: self.fill(room, &told)])


cdef char* _number(char* end, long long number) noexcept:
    """Not below zero."""
    cdef char digits[LONGEST_NUMBER]
    cdef int count = 0
    if number < 0:
        number = 0
    while True:
        digits[count] = 48 + number % 10
        number //= 10
        count += 1
        if number == 0:
            break
    while count:
        count -= 1
        end[0] = digits[count]
        end += 1
    return end


cdef char* _thousandths(char* end, double value) noexcept:
    cdef long long all = llround(value * 1000)
    cdef int rest = all % 1000
    end = _number(end, all // 1000)
    end[0], end[1], end[2], end[3] = 46, 48 + rest // 100, 48 + rest // 10 % 10, 48 + rest % 10
    return end + 4


# --- ids: random hex digits, as many at once as cost no more than a few ------------------------------------------------

cdef enum:
    AT_ONCE = 64

cdef bytes _ids = b""
cdef Py_ssize_t _ids_used = 0


cdef int new_ids(char* room) except -1:
    """96 digits: of the request, the trace, the request's span, and the span of its call."""
    global _ids, _ids_used
    if _ids_used + ID_DIGITS > PyBytes_GET_SIZE(_ids):
        _ids, _ids_used = os.urandom(ID_DIGITS // 2 * AT_ONCE).hex().encode(), 0
    memcpy(room, PyBytes_AS_STRING(_ids) + _ids_used, ID_DIGITS)
    _ids_used += ID_DIGITS
    return 0


def _forget_ids():
    global _ids
    _ids = b""


os.register_at_fork(after_in_child=_forget_ids)  # else the child would have its parent's


# --- clocks ------------------------------------------------------------------------------------------------------------

cdef time_t _second = -1
cdef char _date[20]


cdef void write_time(char* room) noexcept:
    """UTC, to the millisecond: 24 characters."""
    global _second
    cdef timespec time
    cdef tm at
    clock_gettime(CLOCK_REALTIME, &time)
    if time.tv_sec != _second:
        _second = time.tv_sec
        gmtime_r(&_second, &at)
        _digits(_date, at.tm_year + 1900, 4)
        _date[4] = _date[7] = 45
        _digits(_date + 5, at.tm_mon + 1, 2)
        _digits(_date + 8, at.tm_mday, 2)
        _date[10] = 84
        _digits(_date + 11, at.tm_hour, 2)
        _date[13] = _date[16] = 58
        _digits(_date + 14, at.tm_min, 2)
        _digits(_date + 17, at.tm_sec, 2)
        _date[19] = 46
    memcpy(room, _date, 20)
    _digits(room + 20, time.tv_nsec // 1000000, 3)
    room[23] = 90


cdef void _digits(char* room, int number, int count) noexcept:
    while count:
        count -= 1
        room[count] = 48 + number % 10
        number //= 10


cdef double now() noexcept nogil:
    """Seconds of the clock that does not go back, as `time.monotonic`."""
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec + time.tv_nsec / 1e9
