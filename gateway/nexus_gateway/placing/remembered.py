"""What the story asks of the placement memory, where an upstream has one: before a choice, after one for
a conversation that is new, and after an answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from nexus_gateway.candidates import Candidate
from nexus_gateway.gateway import Gateway
from nexus_gateway.placing.placements import Placed
from nexus_gateway.placing.prompt_keys import keys_for
from nexus_gateway.prefix_cache import keeps_prompts
from nexus_gateway.prefix_routing.choice import HOMELESS
from nexus_gateway.prefix_routing.keys import Keys
from nexus_gateway.request import Request
from nexus_gateway.routes import Upstream


class Recalled(NamedTuple):
    keys: Keys
    holders: Collection[int] | None
    """Seeds of endpoints; of any upstream, since a conversation has one note. None where nobody has said it in time."""


async def recall(gateway: Gateway, request: Request) -> Recalled | None:
    """None where it is not asked: by prompts that go to the lightest anyway, and where no upstream of the route has a
    memory. A fallback's alone is not asked."""
    memory, upstreams = gateway.placement_memory, request.snapshot.table.upstreams
    if memory is None or request.holder or not keeps_prompts(request.surface):
        return None
    size = len(request.body)
    targets = [upstreams[target.upstream] for target in request.route.targets]
    if not any(_remembers(one) and not gateway.placements.short(one, size) for one in targets):
        return None
    exchange = request.exchange
    keys = keys_for(request.caller, request.surface, exchange.head, request.asked, request.route, request.body)
    return Recalled(keys, await memory.recall(keys.conversation))


def holders_in(upstream: Upstream, recalled: Recalled | None) -> Collection[str] | None:
    """Ids of the upstream's endpoints that have answered lately; None where nobody knows."""
    if recalled is None or recalled.holders is None or not _remembers(upstream):
        return None
    return [one.id for one in upstream.endpoints if one.seed in recalled.holders]


def note_beginning(gateway: Gateway, request: Request, upstream: Upstream, placed: Placed) -> None:
    """Where a new conversation begins, before it is answered: what comes of it until then goes there too."""
    if placed.new:
        seed = next(one.seed for one in upstream.endpoints if one.id == placed.endpoint)
        _note(gateway, request, upstream, seed, placed)


def note(gateway: Gateway, request: Request, candidate: Candidate, placed: Placed) -> None:
    """Where the conversation is now. At home too: else nobody knows whether home has the turns before."""
    _note(gateway, request, candidate.upstream, candidate.endpoint.seed, placed)


def _note(gateway: Gateway, request: Request, upstream: Upstream, seed: int, placed: Placed) -> None:
    memory, recalled, choice = gateway.placement_memory, request.recalled, upstream.choice
    if memory is None or recalled is None or choice is None or not _remembers(upstream):
        return
    if placed.why not in HOMELESS:
        memory.note(recalled.keys.conversation, seed, choice.memory_seconds)


def _remembers(upstream: Upstream) -> bool:
    return upstream.choice is not None and upstream.choice.memory_seconds > 0 and len(upstream.endpoints) > 1
