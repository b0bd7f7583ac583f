"""Limits that are counted in this process: limits/memory.py and windows.py in C, of a request that fits.

The buckets are Python's own, and what is not usual is Python's to decide: who has not asked lately, the first request of a
window, and one that does not fit.
"""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.math cimport ceil, floor, fmod

from nexus_native.forms cimport now


cdef class Buckets:
    def __init__(self, buckets not None, double window, clock):
        """`buckets`: an OrderedDict. `window`: seconds. `clock`: seconds, never going back; None for C's own."""
        if not isinstance(buckets, dict) or window <= 0:
            raise ValueError(f"buckets: {type(buckets).__name__}, window: {window}")
        self._buckets, self._latest, self._window, self._clock = buckets, buckets.move_to_end, window, clock

    cdef long long take(
        self, str name, long long most_requests, long long most_tokens, long long amount, long long* left
    ) except? -2:
        """Counts a request of so many tokens, and gives the number of its window; or `ASK`, and counts nothing.
        `most_...`: -1 where there is no limit. `left`: `NUMBERS` of each that there is."""
        cdef double elapsed, still, asked, spent
        cdef long long number, free
        found = self._find(name)
        if found is None:
            return ASK
        number = self._number(&elapsed)
        if found.window != number:
            return ASK
        requests, tokens = found.requests, found.tokens
        still = 1 - elapsed / self._window
        asked = <double>requests + <double>found.requests_before * still + 1
        spent = <double>tokens + <double>found.tokens_before * still + amount
        if 0 <= most_requests < asked or 0 <= most_tokens < spent:
            return ASK
        free = <long long>ceil(self._window - elapsed + self._window)
        if most_requests >= 0:
            left[0], left[1], left[2] = most_requests, <long long>(most_requests - asked), free
            left += NUMBERS
        if most_tokens >= 0:
            if <double>tokens + amount == 0:  # nothing but the window before counts
                free = <long long>ceil(self._window - elapsed) if found.tokens_before else 0
            left[0], left[1], left[2] = most_tokens, <long long>(most_tokens - spent), free
        self._latest(name)
        found.requests = requests + 1
        found.tokens = tokens + amount
        return number

    cdef int correct(self, str name, long long window, long long amount) except -1:
        """Adds so many tokens to the window that was counted in, or takes them."""
        cdef double elapsed
        cdef long long number
        found = self._find(name)
        if found is None:
            return 0
        number = self._number(&elapsed)
        if found.window != number:
            found.slide(number)
        if window != number:
            found.correct(window, 0, amount)
            return 0
        tokens = found.tokens + amount
        found.tokens = tokens if tokens > 0 else 0
        return 0

    cdef object _find(self, str name):
        cdef PyObject* found = PyDict_GetItemWithError(self._buckets, name)
        return None if found is NULL else <object>found

    cdef long long _number(self, double* elapsed) except? -2:
        """Of the window that has begun, by `divmod`."""
        cdef double time = now() if self._clock is None else self._clock()
        elapsed[0] = fmod(time, self._window)
        return <long long>floor((time - elapsed[0]) / self._window + 0.5)

    def taken(self, str name not None, long long most_requests, long long most_tokens, long long amount):
        """(window, numbers) of one request, to look at; None where Python is to be asked."""
        cdef long long[2 * NUMBERS] left
        cdef long long window = self.take(name, most_requests, most_tokens, amount, left)
        cdef int place, count = NUMBERS * ((most_requests >= 0) + (most_tokens >= 0))
        return None if window == ASK else (window, tuple([left[place] for place in range(count)]))

    def corrected(self, str name not None, long long window, long long amount):
        """The same of a correction."""
        self.correct(name, window, amount)
