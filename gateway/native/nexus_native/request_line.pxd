from nexus_native.door cimport Door
from nexus_native.engine_line cimport Asker, EngineLine


cdef class RequestLine(Asker):
    cdef Door _door
    cdef object _wire
    cdef object _known
    cdef bytes _head
    cdef Py_ssize_t _digits_at
    cdef EngineLine _engine  # that is asked
    cdef bytes _part
    cdef readonly double until

    cdef int _keep(self, const char* data, Py_ssize_t length) except -1
    cdef bytes _taken_part(self)
    cdef bint _set_out(self, const char* body, Py_ssize_t size) except -1
