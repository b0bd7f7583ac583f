"""Limits that are counted in C: limits/windows.py, of a request that fits.

What is counted is Python's own, and what is not usual is Python's to decide: who has not asked lately, a window that has just
begun, a request that does not fit.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.math cimport ceil

from nexus_native.forms cimport now


cdef class Counting:
    def __init__(self, by_name not None, double window, clock):
        """`by_name`: a dict. `window`: seconds. `clock`: seconds, never going back; None for C's own."""
        if not isinstance(by_name, dict) or window <= 0:
            raise ValueError(f"by_name: {type(by_name).__name__}, window: {window}")
        self._by_name, self._window, self._clock = by_name, window, clock

    cdef long long take(
        self, str name, object limits, long long most_requests, long long most_tokens, long long amount, long long* left
    ) except? -2:
        """Counts a request of so many tokens, and gives the number of its window; or `ASK`, and counts nothing.
        `most_...`: of the `limits`, -1 where there is none. `left`: `NUMBERS` of each that there is."""
        raise NotImplementedError

    cdef int correct(self, str name, long long window, long long amount) except -1:
        """Adds so many tokens to the window that was counted in, or takes them."""
        raise NotImplementedError

    cdef object _find(self, str name):
        cdef PyObject* found = PyDict_GetItemWithError(self._by_name, name)
        return None if found is NULL else <object>found

    cdef double _time(self) except? -2:
        return now() if self._clock is None else self._clock()

    cdef bint _count(
        self, object counted, double elapsed, long long most_requests, long long most_tokens, long long amount,
        long long* left
    ) except -1:
        """Counts it where it fits, as `left_after` has it. `elapsed`: seconds of the present window."""
        cdef double still = 1 - elapsed / self._window, asked, spent
        cdef long long free
        requests, tokens = counted.requests, counted.tokens
        asked = <double>requests + <double>counted.requests_before * still + 1
        spent = <double>tokens + <double>counted.tokens_before * still + amount
        if 0 <= most_requests < asked or 0 <= most_tokens < spent:
            return False
        free = <long long>ceil(self._window - elapsed + self._window)
        if most_requests >= 0:
            left[0], left[1], left[2] = most_requests, <long long>(most_requests - asked), free
            left += NUMBERS
        if most_tokens >= 0:
            if <double>tokens + amount == 0:  # nothing but the window before counts
                free = <long long>ceil(self._window - elapsed) if counted.tokens_before else 0
            left[0], left[1], left[2] = most_tokens, <long long>(most_tokens - spent), free
        counted.requests = requests + 1
        counted.tokens = tokens + amount
        return True

    def taken(self, str name not None, limits, long long most_requests, long long most_tokens, long long amount):
        """(window, numbers) of one request, to look at; None where Python is to be asked."""
        cdef long long[2 * NUMBERS] left
        cdef long long window = self.take(name, limits, most_requests, most_tokens, amount, left)
        cdef int place, count = NUMBERS * ((most_requests >= 0) + (most_tokens >= 0))
        return None if window == ASK else (window, tuple([left[place] for place in range(count)]))

    def corrected(self, str name not None, long long window, long long amount):
        """The same of a correction."""
        self.correct(name, window, amount)
