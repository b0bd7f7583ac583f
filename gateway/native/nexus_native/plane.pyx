"""Sockets that are read and written here, in one callback of the event loop for all of them.

The loop knows one descriptor, an epoll of ours, and calls `turn` when anything has come for any of them. All that has
come is read before anything is written: to write wakes whoever waits at the other end (turn.py tells the reason). What
is read goes out from where it was read into.

Everything runs in the loop's thread. A socket stays its transport's, which neither reads nor writes meanwhile, and whoever
closes one ends its line before.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EAGAIN, EINTR, errno
from posix.unistd cimport close

from nexus_native.plane cimport Line, Plane, Written

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void* ptr

    cdef struct epoll_event:
        unsigned int events
        epoll_data_t data

    int EPOLL_CLOEXEC, EPOLLIN, EPOLLRDHUP, EPOLLET, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int most, int milliseconds)

cdef extern from "<sys/socket.h>" nogil:
    int MSG_DONTWAIT, MSG_NOSIGNAL
    ssize_t recv(int fd, void* room, size_t most, int flags)
    ssize_t send(int fd, const void* data, size_t length, int flags)

cdef enum:
    AT_ONCE = 256  # lines that a turn hears: who else has something to say is heard in the next
    ENDS = 32  # that a turn hears: where a thousand clients leave at once, what each was told of in Python took 5 KB
    READ = 64 << 10  # bytes that are read of one socket at once
    ROOM = 1 << 20  # bytes that are read before they are written
    MADE = 256 << 10  # bytes that one line makes at once at most
    PUT = 4  # pieces that it says at once at most


cdef class Plane:
    def __cinit__(self):
        self._read = self._made = NULL
        self._written = NULL
        self._epoll = epoll_create1(EPOLL_CLOEXEC)
        if self._epoll < 0:
            raise OSError(errno, "no epoll")
        self._read, self._made = <char*>PyMem_Malloc(ROOM), <char*>PyMem_Malloc(ROOM)
        self._written = <Written*>PyMem_Malloc(AT_ONCE * sizeof(Written))
        if self._read == NULL or self._made == NULL or self._written == NULL:
            raise MemoryError
        self._read_used = self._made_used = self._waiting = 0
        self._turning = False
        self._writers, self._left, self._telling, self._watched = [], [], [], set()

    def __dealloc__(self):
        if self._epoll >= 0:
            close(self._epoll)
        PyMem_Free(self._read)
        PyMem_Free(self._made)
        PyMem_Free(self._written)

    def fileno(self):
        return self._epoll

    def turn(self):
        cdef epoll_event events[AT_ONCE]
        cdef int number
        cdef Line line
        cdef int found = epoll_wait(self._epoll, events, AT_ONCE, 0)
        self._turning, self._ends = True, 0
        for number in range(found):
            line = <Line>events[number].data.ptr
            self.have_room()
            if not line.watched:  # it was ended by one that was heard before it in this turn
                continue
            try:
                self.hear(line, events[number].events)
            except BaseException as fault:  # of one line: the others are told of what has come but once
                line.failed(fault)
        self.write_out()
        self._turning = False
        self._left.clear()
        if self._telling:
            telling, self._telling = self._telling, []
            for who in telling:
                who.tell()

    cdef int hear(self, Line line, unsigned int told) except -1:
        cdef ssize_t length
        if told & ~EPOLLIN:
            self._ends += 1
            if self._ends > ENDS:
                line.listen(EPOLL_CTL_MOD)  # it is heard in the next
                return 0
        length = recv(line.source, self._read + self._read_used, READ, MSG_DONTWAIT)
        if length > 0:
            if length == READ or told & ~EPOLLIN:
                line.listen(EPOLL_CTL_MOD)  # there may be more, or its end: it is heard again
            line.came(self._read + self._read_used, length)
        elif length == 0 or errno not in (EAGAIN, EINTR):
            line.gone()
        return 0

    cdef int have_room(self) except -1:
        """For all that one line is told and says: what it has said cannot end it while it still speaks."""
        if ROOM - self._read_used < READ or ROOM - self._made_used < MADE or self._waiting + PUT > AT_ONCE:
            self.write_out()
        return 0

    cdef int put(self, Line line, int fd, const char* start, Py_ssize_t length) except -1:
        """Goes to `fd` at the end of the turn: what has just been read and was kept, or what was made in `room`. `line`
        is told what the socket does not take."""
        self._written[self._waiting] = Written(fd, start, length)
        self._writers.append(line)
        self._waiting += 1
        if self._waiting == AT_ONCE:
            self.write_out()
        return 0

    cdef void keep(self, Py_ssize_t length) noexcept:
        """So much of what has just been read is not read over until it is written."""
        self._read_used += length

    cdef char* room(self, Py_ssize_t length) except NULL:
        """To make something in that goes out in this turn; at most `READ` and a bit."""
        if ROOM - self._made_used < length:
            self.write_out()
            if ROOM - self._made_used < length:
                raise MemoryError(f"no room for {length} bytes at once")
        cdef char* found = self._made + self._made_used
        self._made_used += length
        return found

    cdef int tells(self, who) except -1:
        """`who.tell()` at the end of the turn."""
        self._telling.append(who)
        return 0

    cdef int write_out(self) except -1:
        cdef int number
        cdef ssize_t sent
        cdef Line line
        cdef Written one
        cdef list writers = self._writers
        cdef int waiting = self._waiting
        if waiting == 0:
            return 0
        self._waiting = 0
        for number in range(waiting):
            line, one = <Line>writers[number], self._written[number]
            sent = send(one.fd, one.start, one.length, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent < one.length:
                sent = max(sent, 0)  # what is wrong with it its transport finds as well
                try:
                    line.spilled(one.start + sent, one.length - sent)
                except BaseException as fault:
                    line.failed(fault)
        self._writers = []
        self._read_used = self._made_used = 0
        return 0


cdef class Line:
    """What comes from one socket, and where it goes."""

    cdef int came(self, const char* data, Py_ssize_t length) except -1:
        raise NotImplementedError

    cdef int gone(self) except -1:
        raise NotImplementedError

    cdef int spilled(self, const char* data, Py_ssize_t length) except -1:
        raise NotImplementedError

    cdef void failed(self, fault) noexcept:
        """`fault` was raised on its behalf."""
        raise NotImplementedError

    cdef int watch(self) except -1:
        self.listen(EPOLL_CTL_ADD)
        self.watched = True
        self.plane._watched.add(self)
        return 0

    cdef int listen(self, int how) except -1:
        """It is told once of what has come (edge-triggered): to be told until all is read is asked anew in each turn,
        for each line."""
        cdef epoll_event event
        event.events = EPOLLIN | EPOLLRDHUP | <unsigned int>EPOLLET
        event.data.ptr = <void*>self
        if epoll_ctl(self.plane._epoll, how, self.source, &event) < 0:
            raise OSError(errno, "a socket cannot be watched")
        return 0

    cdef int unwatch(self) except -1:
        if not self.watched:
            return 0
        self.plane.write_out()  # who ends it writes next
        self.watched = False
        epoll_ctl(self.plane._epoll, EPOLL_CTL_DEL, self.source, NULL)
        self.plane._watched.discard(self)
        if self.plane._turning:
            self.plane._left.append(self)  # an event of this turn may point at it
        return 0
