"""Whether a request may go the straight way, and its first step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nexus_gateway.asked import read_body
from nexus_gateway.errors import Refusal
from nexus_gateway.gateway import Gateway
from nexus_gateway.keys import Key
from nexus_gateway.limits.estimate import estimate
from nexus_gateway.plain_head import PlainHead
from nexus_gateway.policy import hold_to
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.standing import MOST_CALLERS
from nexus_gateway.straight.exchange import StraightExchange
from nexus_gateway.straight.heads import KnownHead
from nexus_gateway.straight.way import Way, way_of
from nexus_gateway.surfaces import Surface

if TYPE_CHECKING:
    from nexus_gateway.wire import WireProtocol


def set_out(
    gateway: Gateway, wire: WireProtocol, known: KnownHead, plain: PlainHead | None, sent: bytes
) -> StraightExchange | None:
    """Calls the engine. None where the story has to decide: then nothing has been done, and nothing counted.

    `plain`: what `known` was read from, where it has just been read. `sent`: the whole body.
    """
    started = time.monotonic()
    if known.digest is None or gateway.draining or gateway.decisions is not None:
        return None
    if 2 * gateway.metrics.in_flight >= gateway.most_in_flight:  # below it nobody is turned away, see shedding.py
        return None
    key = gateway.known.ring.find(known.digest, time.time())
    if key is None:
        return None
    try:
        asked = read_body(sent)
    except Refusal:
        return None
    snapshot = gateway.served.current
    way = _way(gateway, snapshot, key, asked.model, known.surface)
    if way is None or not gateway.breakers.untroubled(way.endpoint):
        return None
    caller = way.caller
    limits, owner = caller.limits, caller.key.owner
    try:
        body = hold_to(caller.policy, known.surface, asked, sent) if way.holds else sent
    except Refusal:
        return None
    tokens = estimate(asked, known.surface, caller.policy, len(body))
    if limits.tokens is not None and tokens > limits.tokens:
        return None
    said = way.said(asked, body)  # before anything is taken or counted, which a fault in it would keep
    if way.pool.closed:
        snapshot.standing.ways.clear()  # they were found while a configuration was replaced by the next but one
        return None
    # Last, since they count. What one of them refuses the story refuses, and says why.
    if not gateway.parallel.enter(owner, limits.parallel):
        return None
    admitted = gateway.limiter.at_once(owner, limits, tokens) if way.limited else None
    if way.limited and admitted is None:
        gateway.parallel.leave(owner)
        return None
    exchange = StraightExchange(
        gateway, wire, known, plain, snapshot, way, asked, (sent, body, said), admitted, started
    )
    exchange.call()
    return exchange


def _way(gateway: Gateway, snapshot: Snapshot, key: Key, model: str, surface: Surface) -> Way | None:
    ways, place = snapshot.standing.ways, (id(key), model, surface.path)
    found = ways.get(place)
    if found is None:
        found = way_of(gateway, snapshot, key, model, surface)
        if found is None and (key.subject or model not in snapshot.table.routes):
            return None  # keys of tokens are made anew, and models that are not there are whatever a client writes
        if len(ways) >= MOST_CALLERS:
            ways.clear()
        ways[place] = found or key
    return found if isinstance(found, Way) else None
