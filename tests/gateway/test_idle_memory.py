"""What a gateway loads that needs none of it costs memory in each of its processes, and time at each start."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = ("cryptography", "grpc", "httpx", "jwt", "litellm", "redis")
"""Of tokens, gRPC engines, health checks, hosted providers and shared limits."""
PAGES = {
    "nexus_gateway.console.checkout_page", "nexus_gateway.console.explain_page",
    "nexus_gateway.decisions.decision_schema", "nexus_gateway.explanation", "nexus_gateway.openapi",
}  # fmt: skip
"""Of pages that few ask for, and of what reads lines: two MiB."""


def loaded_with(*modules: str) -> set[str]:
    """Modules and packages of a new process that has imported these."""
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


def test_a_plain_gateway_loads_nothing_that_only_others_need() -> None:
    assert loaded_with("nexus_gateway.running", "nexus_gateway.cli").isdisjoint({*NOT_NEEDED, *PAGES})


def test_plain_requests_load_nothing_of_that_either() -> None:
    loaded = loaded_with("nexus_gateway.running", "nexus_gateway.wire", "nexus_gateway.straight.compiled")
    assert loaded.isdisjoint({*NOT_NEEDED, *PAGES})


def test_who_needs_it_loads_it() -> None:
    """Else the test above would hold whatever is loaded."""
    assert "redis" in loaded_with("nexus_gateway.limits.shared")
    pages = loaded_with(
        "nexus_gateway.openapi", "nexus_gateway.console.checkout_page", "nexus_gateway.decisions.replay"
    )
    assert pages >= PAGES
