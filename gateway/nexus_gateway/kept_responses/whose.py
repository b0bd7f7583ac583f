"""Whose a response is, and which endpoint has it: noted before its answer goes out, held against who asks later."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nexus_gateway.candidates import Candidate, holder
from nexus_gateway.errors import (
    PREVIOUS_RESPONSE_NOT_FOUND,
    RESPONSE_NOT_FOUND,
    RESPONSES_UNAVAILABLE,
    Condition,
    Refusal,
)
from nexus_gateway.exchange import WRITTEN, Waiter, given
from nexus_gateway.gateway import Gateway
from nexus_gateway.kept_responses.place import ID, NOBODYS, Place, Unknown
from nexus_gateway.policy import Caller
from nexus_gateway.request import Request

_CREATE = "/v1/responses"


def noting(gateway: Gateway, request: Request, candidate: Candidate) -> Callable[[Mapping[str, object]], Waiter[None]]:
    """What is done with an answer's first document, before any of it goes out: its client may ask for the response at
    once, and another gateway."""
    if request.surface.path != _CREATE or request.asked.store is False:
        return _not_kept

    def note(document: Mapping[str, object]) -> Waiter[None]:
        told = document.get("response", document)  # an event carries what it is about
        response = told.get("id") if isinstance(told, dict) else None
        if not isinstance(response, str) or not ID.fullmatch(response):
            return given(None)
        place = Place(request.caller.key.owner, request.asked.model, candidate.endpoint.id)
        return gateway.places.note(response, place)

    return note


def _not_kept(_: Mapping[str, object]) -> Waiter[None]:
    return WRITTEN


async def of_path(gateway: Gateway, caller: Caller, path: str) -> Place:
    """Of the response that a path names. Raises Refusal."""
    return await _owned(gateway, caller, path.split("/")[3], RESPONSE_NOT_FOUND)


async def go_on_from(gateway: Gateway, request: Request) -> None:
    """Holds the request to the engine that keeps what it goes on from. Raises Refusal: an engine of its own accord
    would go on from whatever it has, whoever's that is."""
    previous = request.asked.previous_response_id
    if request.surface.path != _CREATE or previous is None:
        return
    place = await _owned(gateway, request.caller, previous, PREVIOUS_RESPONSE_NOT_FOUND)
    request.holder = place.endpoint
    if holder(request.snapshot.table, request.wanted) is None:
        told = f"the engine that keeps {previous} does not answer for {request.asked.model}"
        raise Refusal(PREVIOUS_RESPONSE_NOT_FOUND, told)


def deleted(gateway: Gateway, path: str) -> Waiter[None]:
    """Nobody finds it any more."""
    return gateway.places.note(path.split("/")[3], NOBODYS)


async def _owned(gateway: Gateway, caller: Caller, response: str, otherwise: Condition) -> Place:
    """That there is another's is not told apart from that there is none."""
    try:
        place = await gateway.places.find(response) if ID.fullmatch(response) else None
    except Unknown:
        raise Refusal(RESPONSES_UNAVAILABLE, headers=((b"retry-after", b"1"),)) from None
    if place is None or place.owner != caller.key.owner:
        raise Refusal(otherwise, f"no response {response[:64]!r} is known here")
    return place
