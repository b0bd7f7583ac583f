"""The keys of a request, whoever asks for them: the story, or `explain`."""

from __future__ import annotations

from nexus_gateway.asked import Asked
from nexus_gateway.exchange import RequestHead
from nexus_gateway.policy import Caller
from nexus_gateway.prefix_routing.keys import Keys, keys_of
from nexus_gateway.prefix_routing.prompt import prompt_of
from nexus_gateway.routing import Route
from nexus_gateway.surfaces import Surface

_SESSION = b"x-nexus-session"


def keys_for(caller: Caller, surface: Surface, head: RequestHead, asked: Asked, route: Route, body: bytes) -> Keys:
    """By the tenant, so that nobody's names or prompts meet another's; and by the client's own `cache_salt`, since an
    engine keeps apart what differs in it."""
    prompt = prompt_of(
        surface,
        body,
        tenant=caller.key.owner,
        model=route.name,
        adapter=f"{asked.model}\0{asked.cache_salt or ''}",
        session=head.first(_SESSION).decode("latin-1"),
        user=asked.speaker(surface),
    )
    return keys_of(prompt)
