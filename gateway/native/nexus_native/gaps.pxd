# How long a stream kept its client waiting between two events: telemetry/gaps.py in C.

from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from nexus_native.forms cimport now

cdef enum:
    MOST_BOUNDS = 31


cdef struct Gaps:
    double asked  # when more was asked of the engine
    double total
    double longest
    unsigned int counts[MOST_BOUNDS + 1]


cdef inline int check_bounds(tuple bounds) except -1:
    if len(bounds) > MOST_BOUNDS or any([type(bound) is not float for bound in bounds]):
        raise ValueError(f"bounds: {bounds}: at most {MOST_BOUNDS} floats")
    return 0


cdef inline void forget(Gaps* gaps) noexcept:
    cdef int place
    gaps.total = gaps.longest = 0.0
    for place in range(MOST_BOUNDS + 1):
        gaps.counts[place] = 0


cdef inline void came(Gaps* gaps, tuple bounds, long events) noexcept:
    # Events that come in one read are one wait and then none.
    cdef double time = now(), waited = time - gaps.asked
    cdef int place = 0
    gaps.asked = time
    while place < PyTuple_GET_SIZE(bounds) and PyFloat_AS_DOUBLE(<object>PyTuple_GET_ITEM(bounds, place)) < waited:
        place += 1
    gaps.counts[place] += 1
    gaps.counts[0] += events - 1
    gaps.total += waited
    gaps.longest = max(gaps.longest, waited)


cdef inline list counts_of(const Gaps* gaps, tuple bounds):
    cdef int place
    return [gaps.counts[place] for place in range(len(bounds) + 1)]
