"""What the choice of an endpoint by prefix costs a gateway: `python -m tests.bench.prefix_choice`. Microseconds of CPU
for one decision, the least of several rounds, for a growing number of endpoints and each width of a group."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import count as count_up

from nexus_gateway.endpoints import Seen
from nexus_gateway.placing.placements import Placements
from nexus_gateway.prefix_routing.choice import Parameters
from nexus_gateway.prefix_routing.keys import Prompt, keys_of
from nexus_gateway.prefix_routing.load import Scrape
from nexus_gateway.prefix_routing.prompt import prompt_of
from nexus_gateway.question import BY_API
from nexus_gateway.routes import Upstream, compile_file, parse

ENDPOINTS = (2, 8, 64, 256)
_ROUNDS, _TIMES = 5, 400
_SYSTEM = 24_000  # bytes: a prompt of about 6,000 tokens
PARAMETERS = Parameters(prefill_tokens_per_second=15_928, ttft_penalty_seconds=2)


def main() -> None:
    body = _body()
    print(f"keys of a body of {len(body)} bytes: {_microseconds(lambda: keys_of(_prompt(body))):.0f} us")  # noqa: T201 - its answer
    for count in ENDPOINTS:
        for name, requests, waiting in (("idle", 0, 0), ("loaded", 40, 0), ("queueing", 40, 5)):
            found = _microseconds(_choice(count, requests, waiting))
            print(f"{count:4} endpoints, {name:8}: {found:.0f} us")  # noqa: T201 - as above


def _body() -> bytes:
    messages = [{"role": "system", "content": "x" * _SYSTEM}, {"role": "user", "content": "hello"}]
    return json.dumps({"model": "chat", "messages": messages}).encode()


def _prompt(body: bytes) -> Prompt:
    return prompt_of(BY_API["chat"], body, tenant="acme", model="chat")


def _choice(count: int, requests: int, waiting: int) -> Callable[[], object]:
    """As the story makes it, with so many `requests` on each endpoint, and others waiting there. Each answer teaches a
    little, so that what waits is worth something else with each choice."""
    upstream, placements = _upstream(count), Placements()
    placements.keep((upstream,), 0.0)
    seen = [Seen(one.id, "closed", admits=True, well=True, resting=False, in_flight=0) for one in upstream.endpoints]
    for one in upstream.endpoints:
        placements.scraped(one.id, Scrape(waiting, requests), 0, 0.0)
    keys = keys_of(_prompt(_body()))
    answers = count_up(1000)

    def once() -> None:
        placed = placements.place(upstream, PARAMETERS, keys, _SYSTEM, seen, 0.0)
        assert placed is not None
        placements.ended(placed, 6000, next(answers) % 6000)

    return once


def _upstream(count: int) -> Upstream:
    choice = {"strategy": "prefix", "prefill_tokens_per_second": 15928, "ttft_penalty_seconds": 2}
    upstream = {"endpoints": [f"http://10.0.0.{number}:8000" for number in range(count)], "choice": choice}
    document = {"upstreams": {"chat": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "chat"}}}
    return compile_file("", parse("", json.dumps(document).encode()), 10.0, None).upstreams["chat"]


def _microseconds(once: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_TIMES):
            once()
        best = min(best, time.process_time() - began)
    return best / _TIMES * 1e6


if __name__ == "__main__":
    main()
