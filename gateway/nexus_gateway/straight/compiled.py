"""The straight way in C: what it is told of a way, and what it tells of the requests that went it.

C takes over a client's connection when Python has sent a request over it the straight way, hears the answer, and gives
the connection back with the first request that is another.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from nexus_gateway.keys import Keys
from nexus_gateway.limits.estimate import ANSWER_TOKENS
from nexus_gateway.native import plane_of
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.standing import MOST_CALLERS
from nexus_gateway.straight.counting import counting_of
from nexus_gateway.straight.exchange import Sent
from nexus_gateway.straight.forms import answer_form, ask_form, audit_form, log_form, stream_form
from nexus_gateway.straight.heads import KnownHead
from nexus_gateway.straight.way import Way
from nexus_gateway.telemetry import families

if TYPE_CHECKING:
    from nexus_native import ClientLine, Door, Form, NativeWay

    from nexus_gateway.gateway import Gateway
    from nexus_gateway.wire import WireProtocol

_BOUNDS = {"max_tokens": 1, "max_completion_tokens": 2, "max_output_tokens": 4}
_MANY = {"n": 1, "best_of": 2}
"""Bits, as C has them (gateway/native/nexus_native/estimate.pxd)."""
_SECONDS = (
    families.LATENCY.bounds, families.FIRST_BYTE.bounds, families.UPSTREAM_LATENCY.bounds, families.TENANT_SECONDS,
)  # fmt: skip
_SHORTEST = 2.0
"""Seconds of a deadline. C looks at its clock when the first of all deadlines is there."""
_LARGEST_HEAD = 16 << 10
"""Of what an engine is asked. C has no room for any: a URL of a route file, or a credential, may be of any length."""
_MOST_CLIENTS = 1024
"""Forms of log lines that are kept for one way: each names its client's network."""


class Compiled:
    """Of one gateway and its loop."""

    def __init__(self, gateway: Gateway) -> None:
        from nexus_native import Door

        loop = asyncio.get_running_loop()
        self._gateway = gateway
        self.door: Door = Door(plane_of(loop), gateway, loop, self._find, self._tell)
        gateway.metrics.settle = self._settle
        self._counting, self._reserved = counting_of(gateway.limiter)
        self._natives: dict[Way, NativeWay] = {}
        self._snapshot: Snapshot | None = None
        self._keys: Keys | None = None
        """For which they were made. They are not kept with the ways: a snapshot would hold itself by them, and of large
        ones no collector looks for that."""

    def line(self, wire: WireProtocol, socket: int, known: KnownHead, model: str) -> ClientLine | None:
        """None where the way of its last request is none for C, or its next may have another head."""
        native = self._find(known, model.encode()) if known.keeps else None
        return None if native is None or known.cut is None else self._line(wire, socket, known, known.cut, native)

    def take_over(self, wire: WireProtocol, socket: int, sent: Sent) -> ClientLine | None:
        """The same with a request that is under way."""
        known, engine = sent.known, sent.engine
        native = self._find(known, sent.way.name.encode()) if known.keeps else None
        if native is None or known.cut is None or native.way is not sent.way or self._snapshot is not sent.snapshot:
            return None
        lent = engine.begin_engine_line(self.door.plane)
        if lent is None:
            return None
        line = None
        try:
            if (line := self._line(wire, socket, known, known.cut, native)) is not None:
                line.take_over(
                    lent, not engine.used, sent.body, sent.streams, sent.admitted, sent.ids, sent.started, sent.until
                )
                engine.heard_elsewhere()
                return line
        except BaseException:
            if line is not None:
                line.end()
            engine.end_line()
            raise
        engine.end_line()
        return None

    def _line(
        self, wire: WireProtocol, socket: int, known: KnownHead, cut: tuple[bytes, int], native: NativeWay
    ) -> ClientLine | None:
        from nexus_native import ClientLine

        forms = self.log_forms(native, wire)
        try:
            return ClientLine(self.door, socket, wire, known, *cut, native, forms)
        except OSError:  # of sockets that are watched there is a most
            return None

    def log_forms(self, native: NativeWay, wire: WireProtocol) -> tuple[Form, Form]:
        """Of whole answers and of streams."""
        way: Way = native.way
        client = wire.client[0] if wire.client is not None else ""
        found = way.log_forms.get(client)
        if found is None:
            if len(way.log_forms) >= _MOST_CLIENTS:
                way.log_forms.clear()
            found = log_form(way, client, stream=False), log_form(way, client, stream=True)
            way.log_forms[client] = found
        return found

    def leave(self) -> None:
        """All that is under way goes on in Python."""
        self.door.leave()

    def forget(self) -> None:
        """What was made for a configuration, or for keys, that hold no more."""
        self._settle()
        for native in self._natives.values():
            native.forget()
        self._natives.clear()
        self._snapshot = self._keys = None

    def _find(self, known: KnownHead, model: bytes) -> NativeWay | None:
        """By the configuration and the keys that hold now: each is read once, since other threads replace them."""
        snapshot, keys = self._gateway.served.current, self._gateway.known.ring.keys
        key = keys.get(known.digest) if known.digest is not None else None
        if key is None:
            return None
        way = snapshot.standing.ways.get((id(key), model.decode(), known.surface.path))
        return self._native(snapshot, keys, way) if isinstance(way, Way) and way.native else None

    def _native(self, snapshot: Snapshot, keys: Keys, way: Way) -> NativeWay | None:
        if snapshot is not self._snapshot or keys is not self._keys or len(self._natives) >= MOST_CALLERS:
            self.forget()
            self._snapshot, self._keys = snapshot, keys
        found = self._natives.get(way)
        if found is None:
            way.native = self._is_plain(way)
            if not way.native:
                return None
            found = self._natives[way] = self._made(snapshot, keys, way)
        return found

    def _is_plain(self, way: Way) -> bool:
        """Whether the body goes on as it came, and its line is written whatever the answer."""
        gateway, telemetry = self._gateway, way.caller.policy.telemetry or way.candidate.route.telemetry
        timeouts = way.candidate.route.timeouts
        renamed = way.model != way.name
        return not (
            way.holds
            or renamed
            or len(way.ask_form) > _LARGEST_HEAD
            or (way.salts and way.salted)
            or gateway.spans is not None
            or gateway.decisions is not None
            or (telemetry is not None and telemetry.sample != 1.0)
            or min(timeouts.first_byte, timeouts.chunk, timeouts.total) < _SHORTEST
            or way.pool.secure
            or (way.limited and self._counting is None)
        )

    def _made(self, snapshot: Snapshot, keys: Keys, way: Way) -> NativeWay:
        from nexus_native import NativeWay

        gateway, caller, surface, limits = self._gateway, way.caller, way.surface, way.caller.limits
        audit = audit_form(gateway.audit, way) if gateway.audit is not None else None
        return NativeWay(
            way=way, model=way.name.encode(), snapshot=snapshot, keys=keys,
            expires=caller.key.expires or 0.0, ask=ask_form(way), answer=answer_form(way),
            stream=stream_form(way), gap_bounds=families.GAPS, chunk=way.candidate.route.timeouts.chunk, audit=audit,
            idle=way.pool.idle, pool=way.pool, endpoint=way.endpoint, state=gateway.endpoints.of(way.endpoint),
            owner=caller.key.owner, under_way=gateway.parallel.under_way, most_parallel=_most(limits.parallel),
            limits=limits, settle=gateway.limiter.settle, counting=self._counting if way.limited else None,
            reserved=partial(self._reserved, caller.key.owner), most_requests=_most(limits.requests),
            most_tokens=_most(limits.tokens),
            bounds=sum(_BOUNDS[name] for name in surface.bounds), many=sum(_MANY[name] for name in surface.many),
            several_prompts=surface.api == "completions", answer_tokens=ANSWER_TOKENS,
            tokens_a_minute=float(caller.policy.tokens_per_minute or math.inf),
            percent_saved=100.0 - caller.policy.cached_tokens_percent,
            first_byte=way.candidate.route.timeouts.first_byte, total=way.candidate.route.timeouts.total,
            seconds=_SECONDS,
        )  # fmt: skip

    def _tell(self, lines: bytearray, count: int, decisions: Sequence[bytes]) -> None:
        self._gateway.logs.write_text(lines, count)
        if self._gateway.audit is not None:
            self._gateway.audit.add_all(decisions)

    def _settle(self) -> None:
        """What C has counted is counted here as well."""
        metrics = self._gateway.metrics
        for native in self.door.counted():
            way: Way = native.way
            answers, prompt, completion, cached, seconds, gaps = native.taken()
            metrics.add_usual(way.kind, way.caller.tenant, answers, prompt, completion, cached, seconds)
            if any(gaps[0]):
                metrics.add_gaps(way.kind, way.caller.tenant, *gaps)


def _most(limit: int | None) -> int:
    return -1 if limit is None else limit
