"""What an engine's own metrics say of its load: text in, figures out."""

from __future__ import annotations

import re

from nexus_gateway.prefix_routing.load import Scrape

_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs")
_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs")
_CACHE_USED = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage")
_ANSWERED = ("vllm:request_success_total", "sglang:num_requests_total")
"""Of all ends: vLLM counts each reason for itself, those that were broken off too."""
_PREFILL = ("nexus:prefill_queue_tokens",)
"""Of mock engines; vLLM has no such figure."""
_LINE = re.compile(
    rb"^(%s)(?:\{[^\n}]*\})? ([0-9.eE+-]+)"
    % "|".join((*_WAITING, *_RUNNING, *_CACHE_USED, *_PREFILL, *_ANSWERED)).encode(),
    re.MULTILINE,
)

_MOST = 2.0**53
"""Beyond it nothing is counted, and what is infinite once would stay in averages for good."""


class NoFigures(Exception):
    """The text has no load of an engine in it."""


def scrape_of(exposition: bytes) -> Scrape:
    """Of Prometheus's text. Requests of several engines behind one address are added, of their caches the fullest
    counts. Raises NoFigures."""
    found: dict[str, list[float]] = {}
    for name, value in _LINE.findall(exposition):
        try:
            figure = float(value)
        except ValueError:
            raise NoFigures(f"{name.decode()} is no number") from None
        if not 0 <= figure <= _MOST:
            raise NoFigures(f"{name.decode()} is {figure:g}: no figure of an engine")
        found.setdefault(name.decode(), []).append(figure)
    waiting, running, used, prefill, answered = (
        next((found[name] for name in names if name in found), [])
        for names in (_WAITING, _RUNNING, _CACHE_USED, _PREFILL, _ANSWERED)
    )
    if not waiting or not running:
        raise NoFigures("neither vLLM's nor SGLang's figures of requests are in it")
    return Scrape(
        sum(waiting),
        sum(running),
        max(used, default=0.0),
        sum(prefill) if prefill else None,
        sum(answered) if answered else None,
    )
