from nexus_native.native_way cimport NativeWay
from nexus_native.plane cimport Plane


cdef class Door:
    cdef readonly Plane plane
    cdef object _gateway
    cdef object metrics
    cdef object _served
    cdef object _ring
    cdef object _find
    cdef object _tell
    cdef object _loop
    cdef readonly dict circuits
    cdef long long _most_in_flight
    cdef set asking
    cdef set _counted
    cdef object _clock
    cdef double _rings
    cdef bytearray _lines
    cdef long _line_count
    cdef list _decisions

    cdef bint opens(self, NativeWay way) except -1
    cdef NativeWay find(self, known, bytes model)
    cdef int _ring_at(self, double time) except -1
    cdef int begun(self, object line, double until) except -1
    cdef int say(self, NativeWay way, const char* line, Py_ssize_t length) except -1
    cdef int decided(self, bytes decision) except -1
