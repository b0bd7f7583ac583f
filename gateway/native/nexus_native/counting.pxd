cdef enum:
    ASK = -1  # of Python
    NUMBERS = 3  # of each limit


cdef class Counting:
    cdef object _by_name
    cdef double _window
    cdef object _clock

    cdef long long take(
        self, str name, object limits, long long most_requests, long long most_tokens, long long amount, long long* left
    ) except? -2
    cdef int correct(self, str name, long long window, long long amount) except -1
    cdef object _find(self, str name)
    cdef double _time(self) except? -2
    cdef bint _count(
        self, object counted, double elapsed, long long most_requests, long long most_tokens, long long amount,
        long long* left
    ) except -1
