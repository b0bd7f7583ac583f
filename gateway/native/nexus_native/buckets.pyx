"""Limits that are counted in this process: limits/memory.py in C."""

from libc.math cimport floor, fmod

from nexus_native.counting cimport ASK, Counting


cdef class Buckets(Counting):
    cdef object _latest

    def __init__(self, by_name, double window, clock):
        """`by_name`: an OrderedDict, whose first is forgotten first."""
        super().__init__(by_name, window, clock)
        self._latest = by_name.move_to_end

    cdef long long take(
        self, str name, object limits, long long most_requests, long long most_tokens, long long amount, long long* left
    ) except? -2:
        cdef double elapsed
        cdef long long window
        bucket = self._find(name)
        if bucket is None:
            return ASK
        window = self._of_now(&elapsed)
        if bucket.window != window or not self._count(bucket, elapsed, most_requests, most_tokens, amount, left):
            return ASK
        self._latest(name)
        return window

    cdef int correct(self, str name, long long window, long long amount) except -1:
        cdef double elapsed
        cdef long long present
        bucket = self._find(name)
        if bucket is None:
            return 0
        present = self._of_now(&elapsed)
        if bucket.window != present:
            bucket.slide(present)
        if window != present:
            bucket.correct(window, 0, amount)
            return 0
        tokens = bucket.tokens + amount
        bucket.tokens = tokens if tokens > 0 else 0
        return 0

    cdef long long _of_now(self, double* elapsed) except? -2:
        """The number of the present window, by `divmod`."""
        cdef double time = self._time()
        elapsed[0] = fmod(time, self._window)
        return <long long>floor((time - elapsed[0]) / self._window + 0.5)
