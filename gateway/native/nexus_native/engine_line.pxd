from nexus_native.native_way cimport NativeWay
from nexus_native.plane cimport Line, Plane


cdef class Asker(Line):
    # Who has asked over an engine's line.
    cdef Py_ssize_t heard(self, EngineLine engine, const char* data, Py_ssize_t length, bint read) except -1
    cdef int unheard(self) except -1


cdef class EngineLine(Line):
    cdef readonly object connection
    cdef Asker asker
    cdef bytes held
    cdef bint fresh  # it has carried no call before the present one


cdef EngineLine idle_engine(NativeWay way, Plane plane)
cdef int give_back(NativeWay way, EngineLine engine, bint keeps) except -1
