"""A client's connection while C has it: a request and its answer.

A request is taken when it would take the straight way in Python (`straight/setting_out.py`), whose steps these are. One that
is under way and comes to anything but a whole answer goes on in Python, as if it had been asked there.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp, memcpy

from nexus_native.counting cimport ASK
from nexus_native.door cimport Door
from nexus_native.engine_line cimport EngineLine, give_back, idle_engine
from nexus_native.estimate cimport counted, estimate
from nexus_native.events cimport ENDED, STOPS, Events, Walked
from nexus_native.forms cimport ID_DIGITS, Form, Told, new_ids, now, write_time
from nexus_native.native_way cimport NativeWay
from nexus_native.plain_json cimport (
    PlainAsked, PlainHead, PlainUsage, read_answer_head, read_asked, read_stream_head, read_usage,
)
from nexus_native.request_line cimport RequestLine

cdef enum:
    MOST_HELD = 64 << 10  # bytes of a frame that has come in part

cdef double AFTER_DONE_SECONDS = 1.0  # as in streamed.py


cdef class ClientLine(RequestLine):
    cdef NativeWay _way
    cdef Form _log
    cdef Form _stream_log
    cdef Events _events
    cdef Py_ssize_t _size
    cdef double _begun
    cdef bint _keeps
    cdef bytes _first_lines
    cdef object _default_headers
    cdef readonly double idle_since
    cdef bytes _body
    cdef object _admitted
    cdef long long _window  # that C has counted it in; else ASK
    cdef long long _tokens
    cdef object _snapshot
    cdef bint _counts
    cdef bint _first
    cdef double _started
    cdef Told _told

    def __init__(self, Door door not None, int source, wire, known, bytes head not None, Py_ssize_t digits_at,
                 NativeWay way not None, tuple logs not None):
        """`logs`: the forms of its lines, of whole answers and of streams."""
        super().__init__(door, source, wire, known, head, digits_at)
        self._way, (self._log, self._stream_log) = way, logs
        self.idle_since, self._window = now(), ASK
        self.watch()

    def end(self):
        """It is read by its transport from now on."""
        self.unwatch()

    def take_over(self, EngineLine engine not None, bint fresh, bytes body not None, bint streams, admitted, str ids not None,
                  double started, double until):
        """A request that was sent over `engine`, of whose answer nothing has been heard. `fresh`: the first over it."""
        cdef Told* told = &self._told
        cdef bytes digits = ids.encode("ascii")
        if self._engine is not None or len(digits) != ID_DIGITS or (streams and self._way.stream is None):
            raise ValueError("there is no such request")
        memcpy(told.ids, PyBytes_AS_STRING(digits), ID_DIGITS)
        told.length = self._size = len(body)
        self._engine, self._body, self._snapshot, self._admitted = engine, body, self._way.snapshot, admitted
        self._events = Events(self._way.gap_bounds) if streams else None
        engine.asker, engine.fresh = self, fresh
        self._counts, self._begun = True, 0.0
        self._started, self.until, self._first = started, until, True
        self._door.begun(self, until)

    # --- there -----------------------------------------------------------------------------------------------------

    cdef bint _set_out(self, const char* body, Py_ssize_t size) except -1:
        cdef PlainAsked asked
        cdef NativeWay way = self._way
        cdef long long tokens
        cdef EngineLine engine
        cdef bint admitted = False
        if not read_asked(body, size, &asked):
            return False
        if asked.model_length != PyBytes_GET_SIZE(way.model) or memcmp(
            asked.model, PyBytes_AS_STRING(way.model), asked.model_length
        ) or not self._door.opens(way):
            way = self._door.find(self._known, asked.model[: asked.model_length])
            if way is None or not self._door.opens(way):
                return False
            if way is not self._way:
                self._way = way
                self._log, self._stream_log = self._wire.log_forms(way)
        if asked.stream and way.stream is None:
            return False
        tokens = estimate(way, &asked, size)
        if tokens < 0 or 0 <= way.most_tokens < tokens:
            return False
        engine = idle_engine(way, self.plane)
        if engine is None:
            return False
        # Last, since they count.
        if not way.enter():
            way.idle.append(engine.connection)
            return False
        try:
            admitted = self._admit(tokens)
        finally:
            if not admitted:
                way.leave()
                way.idle.append(engine.connection)
        if not admitted:
            return False
        self._events = Events(way.gap_bounds) if asked.stream else None
        self._ask(engine, body, size)
        return True

    cdef bint _admit(self, long long tokens) except -1:
        if self._way.counting is None:
            return True
        self._tokens, self._window = tokens, self._way.admit(tokens, self._told.numbers)
        return self._window != ASK

    cdef int _ask(self, EngineLine engine, const char* body, Py_ssize_t size) except -1:
        cdef NativeWay way = self._way
        cdef Told* told = &self._told
        cdef char* room
        cdef Py_ssize_t length
        self._engine, self._body, self._snapshot = engine, PyBytes_FromStringAndSize(body, size), way.snapshot
        self._size, self._begun = size, 0.0
        engine.asker = self
        self._door.metrics.in_flight += 1
        way.state.in_flight += 1
        self._counts = True
        self._started = now()
        self.until = self._started + min(way.first_byte, way.total)
        new_ids(told.ids)
        told.length = size
        self._door.begun(self, self.until)
        room = self.plane.room(way.ask.most + size)  # from here on others may be told of what was not taken
        length = way.ask.fill(room, told)
        memcpy(room + length, body, size)
        self.plane.put(engine, engine.source, room, length + size)
        return 0

    # --- and back --------------------------------------------------------------------------------------------------

    cdef Py_ssize_t heard(self, EngineLine engine, const char* data, Py_ssize_t length, bint read) except -1:
        if self._events is None:
            return self._heard_whole(engine, data, length)
        if self._begun:
            return self._heard_more(engine, data, length, read)
        return self._heard_beginning(engine, data, length, read)

    cdef Py_ssize_t _heard_whole(self, EngineLine engine, const char* data, Py_ssize_t length) except -1:
        """0 where it is anything but a whole answer whose usage is told."""
        cdef PlainHead head
        cdef PlainUsage usage
        cdef double seconds
        if not read_answer_head(data, length, &head) or head.length != length - head.head:
            return 0
        if not read_usage(data + head.head, head.length, &usage):
            return 0
        seconds = now() - self._started
        if seconds >= self._way.total:
            return 0
        self._release(engine, head.keeps)
        self._told.length = head.length
        self._answer(self._way.answer, data + head.head, head.length)
        self._conclude(usage.prompt, usage.completion, usage.cached, seconds, seconds)
        return length

    cdef Py_ssize_t _heard_beginning(self, EngineLine engine, const char* data, Py_ssize_t length, bint read) except -1:
        """Of a stream: nothing goes out before the first event is whole and sound. What is all there in one read, and not
        sound to its end, is Python's from its head on, which may refuse it by that end."""
        cdef PlainHead head
        cdef Events events = self._events
        cdef Py_ssize_t passed
        cdef Walked walked
        if not read_stream_head(data, length, &head):
            return 0
        walked = events.walk(data + head.head, length - head.head, &passed)
        if walked == STOPS and (read or not passed):
            return 0
        if not passed:
            return self._hold(engine, data, 0, length)
        if events.waits.asked >= self._started + self._way.total:
            self._events = Events(self._way.gap_bounds)  # none of it has gone out
            return 0
        self._begun, self._keeps, self._body = events.waits.asked, head.keeps, None
        self._answer(self._way.stream, data + head.head, passed)
        self.until = self._patient_until()
        self._door.begun(self, self.until)  # it may be silent for less long than its first byte may take
        return self._passed(engine, walked, data, head.head + passed, length)

    cdef Py_ssize_t _heard_more(self, EngineLine engine, const char* data, Py_ssize_t length, bint read) except -1:
        cdef Py_ssize_t passed
        cdef char* room
        cdef Walked walked = self._events.walk(data, length, &passed)
        if passed:
            if read:
                self.plane.keep(passed)
                self.plane.put(self, self.source, data, passed)
            else:
                room = self.plane.room(passed)
                memcpy(room, data, passed)
                self.plane.put(self, self.source, room, passed)
        return self._passed(engine, walked, data, passed, length)

    cdef Py_ssize_t _passed(
        self, EngineLine engine, Walked walked, const char* data, Py_ssize_t passed, Py_ssize_t length
    ) except -1:
        cdef Events events = self._events
        if walked == STOPS:
            return passed
        if walked == ENDED:
            self._release(engine, self._keeps)
            self._conclude(
                events.prompt, events.completion, events.cached, now() - self._started, self._begun - self._started
            )
            return length
        if events.done:
            self.until = self._patient_until()
            self._door.begun(self, self.until)
        return length if passed == length else self._hold(engine, data, passed, length)

    cdef Py_ssize_t _hold(self, EngineLine engine, const char* data, Py_ssize_t place, Py_ssize_t length) except -1:
        """The beginning of a frame, until the rest of it comes."""
        if length - place > MOST_HELD:
            return place
        engine.held = PyBytes_FromStringAndSize(data + place, length - place)
        return length

    cdef int _release(self, EngineLine engine, bint keeps) except -1:
        """The engine has said all."""
        self._engine = engine.asker = None
        self._door.asking.discard(self)
        give_back(self._way, engine, keeps)
        return 0

    cdef double _patient_until(self) noexcept:
        """Of a stream that has begun."""
        cdef double silent = AFTER_DONE_SECONDS if self._events.done else self._way.chunk
        return min(self._events.waits.asked + silent, self._started + self._way.total)

    cdef int _answer(self, Form form, const char* body, Py_ssize_t size) except -1:
        cdef Told* told = &self._told
        cdef bytes first = self._lines()
        cdef char* room
        cdef Py_ssize_t length
        cdef int place
        if self._admitted is not None:
            for place, number in enumerate(self._admitted[0]):
                told.numbers[place] = number
        room = self.plane.room(PyBytes_GET_SIZE(first) + form.most + size)
        memcpy(room, PyBytes_AS_STRING(first), PyBytes_GET_SIZE(first))
        length = PyBytes_GET_SIZE(first)
        length += form.fill(room + length, told)
        memcpy(room + length, body, size)
        self.plane.put(self, self.source, room, length + size)
        return 0

    cdef bytes _lines(self):
        """The answer's first, and the server's own headers: uvicorn has another list of those every second."""
        headers = self._wire.server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers, self._first_lines = headers, self._wire.first_lines()
        return self._first_lines

    cdef int _conclude(
        self, long long prompt, long long completion, long long cached, double seconds, double first_byte
    ) except -1:
        """`seconds`, and those to the first byte, since it began."""
        cdef NativeWay way = self._way
        cdef Door door = self._door
        cdef Told* told = &self._told
        cdef Events events = self._events
        cdef Form log = self._log if events is None else self._stream_log
        cdef char* room
        cdef long long tokens
        self._uncount()
        if door.circuits:  # others may have failed since this one set out
            door.circuits.pop(way.endpoint, None)
        if self._admitted is not None:
            way.settle(self._admitted[1], counted(way, prompt, completion, cached, self._size, events))
        elif self._window != ASK:
            tokens = max(0, counted(way, prompt, completion, cached, self._size, events))
            way.counting.correct(way.owner, self._window, tokens - self._tokens)
        way.count(seconds, first_byte, prompt, completion, cached)
        told.prompt, told.completion, told.cached = prompt, completion, cached
        told.milliseconds, told.first_byte = seconds * 1000, first_byte * 1000
        if events is not None:
            way.count_gaps(events.counts(), events.waits.total)
            told.longest_gap = events.waits.longest * 1000
        write_time(told.date)
        room = self.plane.room(log.most)
        door.say(way, room, log.fill(room, told))
        if way.audit is not None:
            room = self.plane.room(way.audit.most)
            door.decided(PyBytes_FromStringAndSize(room, way.audit.fill(room, told)))
        self._body = self._admitted = self._snapshot = self._events = None
        self._window = ASK
        self.idle_since = self._started + seconds
        if self._first:
            self._first = False
            self._wire.rest()
        return 0

    cdef int _uncount(self) except -1:
        """It is no longer under way."""
        self._counts = False
        self._door.metrics.in_flight -= 1
        self._way.state.in_flight -= 1
        self._way.leave()
        return 0

    # --- where C ends ----------------------------------------------------------------------------------------------

    cdef int gone(self) except -1:
        """What comes next is its transport's to read, its end too."""
        wire, part = self._wire, self._taken_part()
        try:
            self._leave()
            wire.end_line()
            if part is not None and not wire.transport.is_closing():
                wire.data_received(part)
        except BaseException as fault:  # of this one: who says that it ends may have others to tell
            self.failed(fault)
        return 0

    cdef int unheard(self) except -1:
        return self.gone()

    cdef void failed(self, fault) noexcept:
        """The client is cut off. What is under way goes on in Python, and ends with that; or it ends here."""
        try:
            self._taken_part()
            self._leave()
        finally:
            if self._counts:
                self._uncount()
            self._wire.end_line(fault)

    cdef int spilled(self, const char* data, Py_ssize_t length) except -1:
        """Of an answer; the client makes no room. What its engine has begun to say goes behind that."""
        cdef EngineLine engine = self._engine
        cdef bytes held = None
        wire, rest = self._wire, PyBytes_FromStringAndSize(data, length)
        if engine is not None:
            held, engine.held = engine.held, None
        self.gone()
        wire.write_behind(rest, self._started + self._way.total)
        if held is not None:
            engine.connection.data_received(held)
        return 0

    def hand_back(self):
        self.gone()

    cdef int _leave(self) except -1:
        """The request that is under way goes on in Python, if there is one."""
        cdef EngineLine engine = self._engine
        if engine is None:
            return 0
        self.plane.write_out()
        if self._engine is None:  # what the client had no room for has handed it over
            return 0
        self._engine = engine.asker = None
        self._door.asking.discard(self)
        body, admitted, snapshot, events, held = self._body, self._reserved(), self._snapshot, self._events, engine.held
        self._body = self._admitted = self._snapshot = self._events = engine.held = None
        self._window = ASK
        ids = PyUnicode_DecodeASCII(self._told.ids, ID_DIGITS, NULL)
        way, connection = self._way.way, engine.connection
        if self._begun:
            self._wire.go_on_with_stream(
                way, snapshot, self._known, self._size, admitted, ids, self._started, self._begun, events, self._keeps,
                connection,
            )
        else:
            self._wire.go_on_from(way, snapshot, self._known, body, admitted, ids, self._started, self.until, connection)
        self._counts = False
        if held is not None:
            connection.data_received(held)
        return 0

    cdef object _reserved(self):
        """What it has taken of its caller's limit, as Python has that."""
        return self._admitted if self._window == ASK else self._way.kept(self._told.numbers, self._tokens, self._window)

    def look_at_time(self, double time):
        if self._begun and self._engine is not None:
            self.until = self._patient_until()
        if time >= self.until:
            self.gone()
