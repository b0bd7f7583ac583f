"""An engine whose answers are masked, or get the client's own values back."""

from __future__ import annotations

import json

from nexus_gateway.exchange import Waiter
from nexus_gateway.masking.aside import LONG, aside
from nexus_gateway.masking.documents import rewritten
from nexus_gateway.masking.events import MaskedEvents
from nexus_gateway.masking.plan import Masking
from nexus_gateway.messages.answer import BadAnswer
from nexus_gateway.surfaces import Surface
from nexus_gateway.upstreams.changed_answer import ChangedAnswer, Take, Told, Whole
from nexus_gateway.upstreams.protocol import Call, ResponseHead, Upstream


class MaskedUpstream:
    """Around an upstream that answers in the client's API. Closed: an answer that cannot be looked at is an engine's
    failure, and does not go on."""

    def __init__(self, upstream: Upstream, masking: Masking, surface: Surface) -> None:
        self._upstream, self._masking, self._surface = upstream, masking, surface

    def send(self, call: Call) -> ChangedAnswer:
        return ChangedAnswer(self._upstream.send(call), self._begin, "its answer has another form than its API's")

    def close(self) -> None:
        self._upstream.close()

    def _begin(self, heard: ResponseHead) -> tuple[ResponseHead, Take]:
        if heard.status == 200 and heard.first(b"content-type").startswith(b"text/event-stream"):
            return heard, MaskedEvents(self._masking, self._surface).take
        return heard, Whole(self._whole).take

    def _whole(self, body: bytes) -> Waiter[Told]:
        size = LONG if self._masking.plan.recognized_answers else len(body)
        return aside(size, lambda: self._masked(body))

    def _masked(self, body: bytes) -> bytes:
        try:
            text = body.decode()
            json.loads(text)
        except (ValueError, RecursionError):
            raise BadAnswer("its answer is no JSON") from None
        return rewritten(text, self._masking.in_answer, self._masking.spelt_out).encode()
