cdef enum:
    ASK = -1  # of Python
    NUMBERS = 3  # of each limit


cdef class Buckets:
    cdef object _buckets
    cdef object _latest
    cdef object _clock
    cdef double _window

    cdef long long take(
        self, str name, long long most_requests, long long most_tokens, long long amount, long long* left
    ) except? -2
    cdef int correct(self, str name, long long window, long long amount) except -1
    cdef object _find(self, str name)
    cdef long long _number(self, double* elapsed) except? -2
