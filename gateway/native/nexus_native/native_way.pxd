from nexus_native.counting cimport Counting
from nexus_native.forms cimport Form

cdef enum:
    MOST_BOUNDS = 31


cdef class Counts:
    # A histogram of seconds that has not been told yet.
    cdef double _bounds[MOST_BOUNDS]
    cdef long _counts[MOST_BOUNDS + 1]
    cdef int _count
    cdef double _total

    cdef void add(self, double seconds) noexcept


cdef class NativeWay:
    cdef readonly object way
    cdef bytes model
    cdef object snapshot
    cdef object keys
    cdef double expires
    cdef Form ask
    cdef Form answer
    cdef Form stream
    cdef tuple gap_bounds
    cdef Form audit
    cdef list idle
    cdef object pool
    cdef object endpoint
    cdef object state
    cdef str owner
    cdef dict under_way
    cdef long long most_parallel
    cdef object limits
    cdef object settle
    cdef Counting counting
    cdef object reserved
    cdef long long most_requests
    cdef long long most_tokens
    cdef int bounds
    cdef int many
    cdef bint several_prompts
    cdef long long answer_tokens
    cdef double tokens_a_minute
    cdef double percent_saved
    cdef double first_byte
    cdef double total
    cdef double chunk
    cdef long _answers
    cdef long long _prompt
    cdef long long _completion
    cdef long long _cached
    cdef Counts _whole
    cdef Counts _first_byte
    cdef Counts _tenant_first_byte
    cdef Counts _called
    cdef list _gaps
    cdef double _gap_total

    cdef bint enter(self) except -1
    cdef int leave(self) except -1
    cdef long long admit(self, long long tokens, long long* left) except? -2
    cdef object kept(self, const long long* left, long long tokens, long long window)
    cdef int count(self, double seconds, double first_byte, long long prompt, long long completion, long long cached) except -1
    cdef int count_gaps(self, list counts, double total) except -1
