"""What a gateway loads that needs none of it costs memory in each of its processes, and time at each start."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = ("cryptography", "grpc", "httpx", "jwt", "litellm", "redis")
"""Of tokens, gRPC engines, health checks, hosted providers and shared limits."""


def loaded_with(*modules: str) -> set[str]:
    """Packages of a new process that has imported these."""
    script = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


def test_a_plain_gateway_loads_nothing_that_only_others_need() -> None:
    assert loaded_with("nexus_gateway.running", "nexus_gateway.cli").isdisjoint(NOT_NEEDED)


def test_who_counts_in_redis_loads_it() -> None:
    """Else the test above would hold whatever is loaded."""
    assert "redis" in loaded_with("nexus_gateway.limits.shared")
