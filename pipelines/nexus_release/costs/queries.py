"""What Prometheus is asked for: kube-state-metrics' account of engines' pods, and the gateway's of tokens."""

from __future__ import annotations

GPU, CPU, MEMORY = "nvidia_com_gpu", "cpu", "memory"
"""`resource` as kube-state-metrics writes it: pieces, cores and bytes."""

POD = r"(.+)-(?:predictor|kserve)-.+"
"""Name of an engine's pod: after its InferenceService's in KServe's Standard mode, or its LLMInferenceService's, whose
endpoint picker is called so too and counts as the release's."""


def held_by_engines(namespace: str, resource: str) -> str:
    """What each engine's pod holds of a resource at a moment: from when it has a node, so while it loads too, until it
    has ended."""
    requests = f'container=~"kserve-container|main",pod=~"{POD}",namespace="{namespace}",resource=~"{resource}"'
    return (
        f"kube_pod_container_resource_requests{{{requests}}}"
        f' and on (namespace, pod) (kube_pod_status_scheduled{{condition="true",namespace="{namespace}"}} == 1)'
        f' unless on (namespace, pod) (kube_pod_status_phase{{namespace="{namespace}",phase=~"Succeeded|Failed"}} == 1)'
    )


def minutes_held(namespace: str, seconds: int) -> str:
    """Over the slot that ends at the moment, by the minute: piece-minutes, core-minutes and byte-minutes of each pod.

    A second less than the slot, so that its first minute, which is the last of the slot before, is not counted twice.
    """
    held = held_by_engines(namespace, f"{GPU}|{CPU}|{MEMORY}")
    return f"sum by (pod, resource) (sum_over_time(({held})[{seconds - 1}s:1m]))"


def minutes_seen(namespace: str, seconds: int) -> str:
    """Of the slot that ends at the moment: minutes in which any pod of the namespace was known."""
    known = f'count(kube_pod_container_resource_requests{{namespace="{namespace}"}})'
    return f"count_over_time({known}[{seconds - 1}s:1m])"


def tenant_tokens(namespace: str) -> str:
    """Counters, each as it stands: their growth is taken from one slot's end to the next's."""
    return f'gateway_tenant_tokens_total{{namespace="{namespace}"}}'
