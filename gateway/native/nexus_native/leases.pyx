"""Limits that Redis counts, while what it has counted already is given away: limits/leases.py in C."""

from nexus_native.counting cimport ASK, Counting


cdef class Leases(Counting):
    cdef object _owe

    def __init__(self, by_name, double window, clock, owe):
        """`by_name`: those that are held. `owe(name, window, requests, tokens, corrections=)`: of what Redis is told
        soon."""
        super().__init__(by_name, window, clock)
        self._owe = owe

    cdef long long take(
        self, str name, object limits, long long most_requests, long long most_tokens, long long amount, long long* left
    ) except? -2:
        cdef double time, elapsed
        cdef bint owes_request = most_requests < 0, owes_tokens = most_tokens < 0
        lease = self._find(name)
        if lease is None:
            return ASK
        time = self._time()
        elapsed = <double>lease.elapsed + time - <double>lease.began
        if time >= <double>lease.ends or elapsed >= self._window:
            return ASK
        if lease.limits is not limits and lease.limits != limits:
            return ASK
        requests, tokens = lease.requests, lease.tokens
        if not (owes_request or requests >= 1) or not (owes_tokens or tokens >= amount):
            return ASK
        if not self._count(lease.counted, elapsed, most_requests, most_tokens, amount, left):
            return ASK
        # What is not limited is not held, and told to Redis afterwards.
        if not owes_request:
            lease.requests = requests - 1
        if not owes_tokens:
            lease.tokens = tokens - amount
        if owes_request or owes_tokens:
            self._owe(name, lease.window, int(owes_request), amount if owes_tokens else 0, corrections=0)
        return lease.window

    cdef int correct(self, str name, long long window, long long amount) except -1:
        if amount:
            self._owe(name, window, 0, amount)
        return 0
