from nexus_native.gaps cimport Gaps
from nexus_native.plain_frame cimport PlainFrame

cdef enum Walked:
    GOES_ON
    STOPS
    ENDED


cdef class Events:
    cdef tuple _bounds  # one for all streams
    cdef Gaps waits
    cdef readonly long events
    cdef readonly long long bytes
    cdef readonly bint done
    cdef readonly bint told_usage
    cdef readonly long long prompt
    cdef readonly long long completion
    cdef readonly long long cached

    cdef Walked walk(self, const char* data, Py_ssize_t length, Py_ssize_t* passed) except *
    cdef long _events_in(self, const PlainFrame* frame) noexcept
    cdef bint _goes_on(self, const char* event, Py_ssize_t length, bint first) noexcept
    cdef void _count(self, long events, bint first) noexcept
    cdef list counts(self)
