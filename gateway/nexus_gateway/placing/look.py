"""How the story asks for an endpoint where its upstream chooses by prefix: the choice is made with the look at the
endpoints, and marked there, so that the decision log has it and `replay` comes to the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from nexus_gateway.candidates import Candidate, Look
from nexus_gateway.endpoints import Seen
from nexus_gateway.exchange import Waiter
from nexus_gateway.gateway import Gateway
from nexus_gateway.placing.placements import Placed
from nexus_gateway.placing.prompt_keys import keys_for
from nexus_gateway.placing.remembered import holders_in, note, note_beginning
from nexus_gateway.prefix_cache import keeps_prompts
from nexus_gateway.request import Request
from nexus_gateway.routes import Upstream
from nexus_gateway.telemetry.record import RequestRecord


def look_for(gateway: Gateway, request: Request) -> Look:
    """The gateway's own, which costs nothing more, where no upstream chooses by prefix."""
    if not gateway.placements.active or not keeps_prompts(request.surface):
        return gateway.look
    recalled = request.recalled
    found = [] if recalled is None else [recalled.keys]

    def look(upstream: Upstream, tried: Collection[str]) -> Sequence[Seen]:
        seen = gateway.look(upstream, tried)
        if upstream.prefix is None:
            return seen
        if not found:
            head, body = request.exchange.head, request.body
            found.append(keys_for(request.caller, request.surface, head, request.asked, request.route, body))
        placed = gateway.placements.place(
            upstream,
            upstream.prefix,
            found[0],
            len(request.body),
            seen,
            time.monotonic(),
            holders_in(upstream, recalled),
        )
        request.record.placed = placed
        if placed is None:
            return seen
        note_beginning(gateway, request, upstream, placed)
        return [one._replace(chosen=True) if one.id == placed.endpoint else one for one in seen]

    return look


def placed_at(record: RequestRecord, endpoint: str) -> Placed | None:
    """The choice that has led to a call; None where none has, and then the record has none either."""
    if record.placed is not None and record.placed.endpoint != endpoint:
        record.placed = None
    return record.placed


def answering(
    gateway: Gateway,
    request: Request,
    candidate: Candidate,
    placed: Placed | None,
    first: Callable[[Mapping[str, object]], Waiter[None]],
) -> Callable[[Mapping[str, object]], Waiter[None]]:
    """`first`, after which the prompt waits no longer, and is where its engine is."""
    if placed is None:
        return first

    def answered(document: Mapping[str, object]) -> Waiter[None]:
        gateway.placements.answered(placed)
        note(gateway, request, candidate, placed)
        return first(document)

    return answered
