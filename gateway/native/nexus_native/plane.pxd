cdef extern from "<sys/types.h>":
    ctypedef Py_ssize_t ssize_t


cdef class Plane:
    cdef int _epoll
    cdef char* _room
    cdef Py_ssize_t _used
    cdef list _writers
    cdef Written* _written
    cdef int _waiting
    cdef set _watched
    cdef list _left

    cdef int put(self, Line line, Py_ssize_t length) except -1
    cdef int write_out(self) except -1


cdef struct Written:
    const char* start
    Py_ssize_t length


cdef class Line:
    cdef Plane plane
    cdef int source
    cdef int sink
    cdef bint watched

    cdef int came(self, const char* data, Py_ssize_t length) except -1
    cdef int gone(self) except -1
    cdef int spilled(self, const char* data, Py_ssize_t length) except -1
    cdef int watch(self) except -1
    cdef int listen(self, int how) except -1
    cdef int unwatch(self) except -1
