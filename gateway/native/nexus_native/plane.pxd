cdef extern from "<sys/types.h>":
    ctypedef Py_ssize_t ssize_t


cdef class Plane:
    cdef int _epoll
    cdef char* _read
    cdef Py_ssize_t _read_used
    cdef char* _made
    cdef Py_ssize_t _made_used
    cdef list _writers
    cdef Written* _written
    cdef int _waiting
    cdef set _watched
    cdef list _left
    cdef list _telling
    cdef bint _turning
    cdef int _ends

    cdef int have_room(self) except -1
    cdef int hear(self, Line line, unsigned int told) except -1
    cdef int put(self, Line line, int fd, const char* start, Py_ssize_t length) except -1
    cdef void keep(self, Py_ssize_t length) noexcept
    cdef char* room(self, Py_ssize_t length) except NULL
    cdef int write_out(self) except -1
    cdef int tells(self, who) except -1


cdef struct Written:
    int fd
    const char* start
    Py_ssize_t length


cdef class Line:
    cdef Plane plane
    cdef int source
    cdef bint watched

    cdef int came(self, const char* data, Py_ssize_t length) except -1
    cdef int gone(self) except -1
    cdef int spilled(self, const char* data, Py_ssize_t length) except -1
    cdef void failed(self, fault) noexcept
    cdef int watch(self) except -1
    cdef int listen(self, int how) except -1
    cdef int unwatch(self) except -1
