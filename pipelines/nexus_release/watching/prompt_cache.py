"""How much of prompts engines had kept, by the routes that placed them: whether a change of these has helped."""

from __future__ import annotations

from nexus_release.watching.rules import Record

CACHED = "nexus:prompt_tokens_cached:ratio5m"
_INSTANCE = "namespace, job, instance"


def prompt_cache_records(gateway: str) -> tuple[Record, ...]:
    """`gateway` chooses the gateways' series."""
    # While processes of one gateway change over, two revisions are told; a division knows one.
    served = f"topk by ({_INSTANCE}) (1, gateway_config_info{{{gateway}}})"

    def tokens(kind: str) -> str:
        rate = f'rate(gateway_tokens_total{{{gateway},kind="{kind}"}}[5m])'
        return f"sum by (namespace, route, revision) ({rate} * on ({_INSTANCE}) group_left (revision) {served})"

    return (
        Record(
            CACHED,
            f"{tokens('cached')} / {tokens('prompt')}",
            "Share of prompt tokens that engines had kept from before, by route and served configuration.",
        ),
    )
