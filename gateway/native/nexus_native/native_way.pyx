"""What is the same for every request of one caller for one model, as C reads it: made of a `Way` (straight/compiled.py)."""

from nexus_native.counting cimport NUMBERS, Counting
from nexus_native.forms cimport Form


cdef class Counts:
    def __cinit__(self, tuple bounds):
        cdef int place
        if len(bounds) > MOST_BOUNDS:
            raise ValueError(f"bounds: {len(bounds)}, at most {MOST_BOUNDS}")
        self._count = len(bounds)
        for place in range(self._count):
            self._bounds[place] = bounds[place]

    cdef void add(self, double seconds) noexcept:
        cdef int place = 0
        while place < self._count and self._bounds[place] < seconds:
            place += 1
        self._counts[place] += 1
        self._total += seconds

    def taken(self):
        """(counts, sum) since it was asked last."""
        cdef int place
        counts = [self._counts[place] for place in range(self._count + 1)]
        total = self._total
        for place in range(self._count + 1):
            self._counts[place] = 0
        self._total = 0.0
        return counts, total


cdef class NativeWay:
    def __init__(
        self, *, way, bytes model not None, snapshot, keys, double expires, Form ask not None, Form answer not None,
        Form stream, Form audit, tuple gap_bounds not None, double chunk, list idle not None, pool,
        str endpoint not None, state, str owner not None, dict under_way not None,
        long long most_parallel, limits, settle, Counting counting, reserved, long long most_requests,
        long long most_tokens, int bounds, int many,
        bint several_prompts, long long answer_tokens, double tokens_a_minute, double percent_saved, double first_byte,
        double total, tuple seconds not None,
    ):
        """`expires`: of the key, Unix seconds. `idle`: connections of `pool`. `most_...`: -1 where there is no limit.
        `counting`: of the limiter; None where the caller has no limit. `reserved(left, tokens, window)`: what the limiter
        would have said, and `settle` is told with what it has said. `bounds`, `many`: which fields count,
        by bits, see `estimate.pxd`. `percent_saved`: of cached tokens, what is not counted. `first_byte`, `chunk`,
        `total`: seconds. `stream`: the head of an answer that is one; None where it never is. `seconds`: bounds of the
        histograms of whole requests, first bytes, calls, and first bytes by tenant; `gap_bounds`: of gaps."""
        self.way, self.model, self.snapshot, self.keys, self.expires = way, model, snapshot, keys, expires
        self.ask, self.answer, self.audit = ask, answer, audit
        self.idle, self.pool, self.endpoint, self.state = idle, pool, endpoint, state
        self.owner, self.under_way, self.most_parallel = owner, under_way, most_parallel
        self.limits, self.settle, self.counting, self.reserved = limits, settle, counting, reserved
        self.most_requests, self.most_tokens = most_requests, most_tokens
        self.bounds, self.many, self.several_prompts = bounds, many, several_prompts
        self.answer_tokens, self.tokens_a_minute, self.percent_saved = answer_tokens, tokens_a_minute, percent_saved
        self.first_byte, self.total = first_byte, total
        self.stream, self.gap_bounds, self.chunk = stream, gap_bounds, chunk
        self._whole, self._first_byte, self._called, self._tenant_first_byte = [Counts(one) for one in seconds]
        self._gaps, self._gap_total = [0] * (len(gap_bounds) + 1), 0.0

    def forget(self):
        """It opens nothing any more, and holds no configuration: a client that rests may hold it for long."""
        self.snapshot = self.keys = None

    cdef bint enter(self) except -1:
        """As `Parallel.enter`."""
        cdef object now = self.under_way.get(self.owner)
        cdef long long count = 0 if now is None else now
        if 0 <= self.most_parallel <= count:
            return False
        self.under_way[self.owner] = count + 1
        return True

    cdef int leave(self) except -1:
        cdef long long left = <object>self.under_way[self.owner] - 1
        if left:
            self.under_way[self.owner] = left
        else:
            del self.under_way[self.owner]
        return 0

    cdef long long admit(self, long long tokens, long long* left) except? -2:
        """As `Limiter.at_once`: see `Counting.take`."""
        return self.counting.take(self.owner, self.limits, self.most_requests, self.most_tokens, tokens, left)

    cdef object kept(self, const long long* left, long long tokens, long long window):
        """What C has counted of the caller's limits, as the limiter would have said it: of each limit its numbers."""
        cdef int place, count = NUMBERS * ((self.most_requests >= 0) + (self.most_tokens >= 0))
        return self.reserved(tuple([left[place] for place in range(count)]), tokens, window)

    cdef int count(self, double seconds, double first_byte, long long prompt, long long completion, long long cached) except -1:
        self._whole.add(seconds)
        self._called.add(seconds)
        self._first_byte.add(first_byte)
        self._tenant_first_byte.add(first_byte)
        self._answers += 1
        self._prompt += prompt
        self._completion += completion
        self._cached += cached
        return 0

    cdef int count_gaps(self, list counts, double total) except -1:
        self._gaps = [mine + more for mine, more in zip(self._gaps, counts)]
        self._gap_total += total
        return 0

    def taken(self):
        """(answers, prompt, completion and cached tokens, of each histogram (counts, sum), of gaps the same) since it
        was asked last."""
        seconds = [one.taken() for one in (self._whole, self._first_byte, self._called, self._tenant_first_byte)]
        gaps = self._gaps, self._gap_total
        found = self._answers, self._prompt, self._completion, self._cached, seconds, gaps
        self._answers = self._prompt = self._completion = self._cached = 0
        self._gaps, self._gap_total = [0] * len(self._gaps), 0.0
        return found
