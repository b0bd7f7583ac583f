"""Engines, by figures of their own: vLLM's and SGLang's, by the names under which `ENGINES` scales them."""

from __future__ import annotations

from nexus_release.config import Settings
from nexus_release.manifests.engines import ENGINES
from nexus_release.watching.rules import Alert, Group, Place

JOB = "nexus-engines"
"""The operator writes the PodMonitor's namespace before it."""
PREEMPTED = "vllm:num_preemptions_total"
_WATCHED = (ENGINES["nexus-vllm"].figures, ENGINES["nexus-sglang"].figures)
_SERVICE = "serving_kserve_io_inferenceservice"  # what becomes of the pod's label


def engine_group(place: Place, settings: Settings) -> Group:
    at_once, scraped = settings.serving.concurrency, f'up{{job=~"(.+/)?{JOB}",{place.selector}}}'
    cache, waiting = ("|".join(names) for names in ([one.cache for one in _WATCHED], [one.waiting for one in _WATCHED]))
    alerts = (
        Alert(
            "NexusEngineDown",
            f"max by (namespace, service, instance, pod) ({_told(scraped)}) == 0",
            "5m",
            "warning",
            "An engine of {{ $labels.service }} does not answer in {{ $labels.environment }}.",
            "A process of an engine could not be scraped for 5 minutes.",
            ("service", "instance", "pod"),
        ),
        Alert(
            "NexusKvCacheFull",
            _by_model("max", _named(cache, place)) + " > 0.95",
            "10m",
            "warning",
            "The KV cache of {{ $labels.model }} is full in {{ $labels.environment }}.",
            "More than 95 % of an engine's KV cache has been in use for 10 minutes: new requests wait, or take the "
            "place of others.",
            ("model", "service"),
        ),
        Alert(
            "NexusEnginePreempts",
            _by_model("sum", f"rate({PREEMPTED}{{{place.selector}}}[10m])") + " > 0.1",
            "10m",
            "warning",
            "{{ $labels.model }} computes requests twice in {{ $labels.environment }}: its GPUs' memory is too small.",
            "In the last 10 minutes vLLM has put a running request back more often than once in 10 seconds, and so for "
            "10 minutes; what it had computed is lost.",
            ("model", "service"),
        ),
        Alert(
            "NexusEngineQueueLong",
            _by_model("sum", _named(waiting, place)) + f" > {at_once}",
            "5m",
            "warning",
            "Requests wait within the engines of {{ $labels.model }} in {{ $labels.environment }}.",
            f"More than {at_once} requests, what one more pod would take at once, wait within the engines of a "
            "release, and so for 5 minutes.",
            ("model", "service"),
        ),
    )
    return Group("engines", "Engines", alerts)


def _named(names: str, place: Place) -> str:
    return f'{{__name__=~"{names}",{place.selector}}}'


def _by_model(how: str, series: str) -> str:
    return f"{how} by (namespace, model, service) ({_told(series, model='model_name')})"


def _told(series: str, **labels: str) -> str:
    """The alert's labels from the engine's: both engines tell the name under which they serve as `model_name`."""
    for label, theirs in {"service": _SERVICE, **labels}.items():
        series = f'label_replace({series}, "{label}", "$1", "{theirs}", "(.+)")'
    return series
