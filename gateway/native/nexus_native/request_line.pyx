"""A client's connection while C has it, and what comes of its next request.

A request is taken here when its head is, but for the digits of its length, the one that went before it over the same
connection. Its body may come behind it: many clients write one after the other. What is anything else is handed back before
anything was done.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from nexus_native.door cimport Door
from nexus_native.engine_line cimport Asker
from nexus_native.forms cimport now
from nexus_native.known_head cimport IN_PART, behind_head

cdef double PART_SECONDS = 1.0  # for the rest of a body: after that Python waits for it


cdef class RequestLine(Asker):
    def __init__(self, Door door not None, int source, wire, known, bytes head not None, Py_ssize_t digits_at):
        """`head`: without the digits of its length, which stand at `digits_at`."""
        if not 0 < digits_at < len(head):
            raise ValueError(f"digits_at: {digits_at}")
        self.plane, self.source, self._door, self._wire, self._known = door.plane, source, door, wire, known
        self._head, self._digits_at = head, digits_at

    @property
    def asks(self):
        return self._engine is not None or self._part is not None

    cdef int came(self, const char* data, Py_ssize_t length) except -1:
        cdef bytes part = self._taken_part()
        cdef Py_ssize_t size
        if part is not None:
            part += data[:length]
            data, length = PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part)
        if self._engine is None:
            size = behind_head(self._head, self._digits_at, data, length)
            if size == IN_PART:
                if part is None:  # a client that says a byte at a time has no more time for it than another
                    self.until = now() + PART_SECONDS
                return self._keep(data, length)
            if size >= 0 and self._set_out(data + length - size, size):
                return 0
        came = PyBytes_FromStringAndSize(data, length)
        wire = self._wire
        self.gone()
        if not wire.transport.is_closing():  # a fault has ended it
            wire.data_received(came)
        return 0

    cdef int _keep(self, const char* data, Py_ssize_t length) except -1:
        self._part = PyBytes_FromStringAndSize(data, length)
        self._door.begun(self, self.until)
        return 0

    cdef bytes _taken_part(self):
        """What of a request was kept; None where nothing was."""
        cdef bytes part = self._part
        if part is not None:
            self._part = None
            self._door.asking.discard(self)
        return part

    cdef bint _set_out(self, const char* body, Py_ssize_t size) except -1:
        """False where it is another's: then nothing has been done, and nothing counted."""
        raise NotImplementedError
