"""A connection to an engine while C has it: idle in its pool, or with one request under way."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from nexus_native.native_way cimport NativeWay
from nexus_native.plane cimport Line, Plane

cdef enum:
    MOST_IDLE = 1024  # as in upstreams/http.py


cdef class Asker(Line):
    cdef Py_ssize_t heard(self, EngineLine engine, const char* data, Py_ssize_t length, bint read) except -1:
        """How many bytes of it are taken; who wants to see the last of them again, with what comes behind them, makes
        them `held`. `read`: they lie where they were read into."""
        raise NotImplementedError

    cdef int unheard(self) except -1:
        raise NotImplementedError


cdef class EngineLine(Line):
    def __init__(self, Plane plane not None, int source, connection):
        self.plane, self.source, self.connection = plane, source, connection
        self.watch()

    def end(self):
        """It is read by its transport from now on."""
        self.unwatch()

    cdef int came(self, const char* data, Py_ssize_t length) except -1:
        cdef Asker asker = self.asker
        cdef bytes held = self.held
        cdef Py_ssize_t taken = 0
        if held is not None:
            held, self.held = held + data[:length], None
            data, length = PyBytes_AS_STRING(held), PyBytes_GET_SIZE(held)
        if asker is not None:
            try:
                taken = asker.heard(self, data, length, held is None)
                if taken == length:
                    return 0
            except BaseException as fault:  # of the asker, who has let go of this line by now
                asker.failed(fault)
                return 0
        came = PyBytes_FromStringAndSize(data + taken, length - taken)
        connection = self.connection
        self.gone()
        connection.data_received(came)
        return 0

    cdef int gone(self) except -1:
        if self.asker is not None:
            self.asker.unheard()
        self.connection.end_line()
        return 0

    cdef int spilled(self, const char* data, Py_ssize_t length) except -1:
        """Of a request, which goes on in Python: its transport writes the rest as the engine makes room, and what is
        asked over it next has to go behind that."""
        connection = self.connection
        rest = PyBytes_FromStringAndSize(data, length)
        self.gone()
        connection.write_behind(rest)
        return 0

    cdef void failed(self, fault) noexcept:
        try:
            if self.asker is not None:
                self.asker.unheard()
        finally:
            self.connection.end_line(fault)


cdef EngineLine idle_engine(NativeWay way, Plane plane):
    """An idle connection that C can have; None where there is none."""
    while way.idle:
        connection = way.idle.pop()
        if not connection.alive:
            connection.close()
            continue
        line = connection.line
        if line is None:
            try:
                line = connection.begin_engine_line(plane)
            except BaseException:
                connection.close()
                raise
        if isinstance(line, EngineLine):
            return <EngineLine>line
        way.idle.append(connection)
        return None
    return None


cdef int give_back(NativeWay way, EngineLine engine, bint keeps) except -1:
    """To its pool, for the next."""
    if engine.fresh:
        engine.fresh, engine.connection.used = False, True
    if keeps and not way.pool.closed and len(way.idle) < MOST_IDLE:
        way.idle.append(engine.connection)
    else:
        engine.connection.close()
    return 0
