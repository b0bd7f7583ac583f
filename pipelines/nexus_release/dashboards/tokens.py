"""Nexus Tokens: how much is generated, and how long people wait for it."""

from __future__ import annotations

from nexus_release.dashboards.board import (
    ENVIRONMENT,
    GATEWAY,
    RELEASE,
    RELEASES,
    ROUTE,
    ROUTES,
    WINDOW,
    Board,
    Panel,
    Query,
    Scope,
    per_second,
    quantile,
    share,
)
from nexus_release.dashboards.links import ROUTE_LINES, kibana_dashboard
from nexus_release.watching.prompt_cache import CACHED

_QUANTILES = (0.5, 0.95, 0.99)


def tokens_board(scope: Scope) -> Board:
    return Board(
        "nexus-tokens",
        "Nexus Tokens",
        (*_amounts(), *_waits()),
        (ROUTES, RELEASES),
        (kibana_dashboard(),),
    )


def _amounts() -> tuple[Panel, ...]:
    return (
        Panel(
            "Tokens per second",
            "By the engines' account. Cached ones are prompt tokens too.",
            (Query(per_second("gateway_tokens_total", RELEASE, "kind"), "{{kind}}"),),
            "short",
        ),
        Panel(
            "Tokens per second by route",
            "Prompt and completion.",
            (
                Query(
                    per_second("gateway_tokens_total", f'{RELEASE},kind!="cached"', "route, kind"), "{{route}} {{kind}}"
                ),
            ),
            "short",
            links=(ROUTE_LINES,),
        ),
        Panel(
            "Tokens per second by tenant",
            "Whom the routes name in `policies` or `subjects`; `other` is everybody else.",
            (
                Query(
                    per_second("gateway_tenant_tokens_total", f'{RELEASE},kind!="cached"', "tenant, kind"),
                    "{{tenant}} {{kind}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Share of prompts from the cache",
            "Prompt tokens that engines had kept from before, and did not compute again.",
            (Query(share(_kind("cached"), _kind("prompt")), "{{route}}"),),
            "percentunit",
        ),
        Panel(
            "Share of prompts from the cache by configuration",
            "The same by the routes that were served: whether a change of them has helped.",
            (Query(f"{CACHED}{{{ENVIRONMENT}}}", "{{route}} {{revision}}"),),
            "percentunit",
        ),
        Panel(
            "Why endpoints were asked",
            "Where they are chosen by the beginning of the prompt; `next`, `beyond` and `full`: home had no room.",
            (Query(per_second("gateway_prefix_choices_total", ROUTE, "why"), "{{why}}"),),
            "short",
        ),
        Panel(
            "Weights of endpoints",
            "By which conversations move while requests wait: below 1 an endpoint was asked more than the mean.",
            (
                Query(
                    f"max by (upstream, endpoint) (gateway_prefix_endpoint_weight{{{GATEWAY}}})",
                    "{{upstream}} {{endpoint}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Tokens of an answer",
            "Completion tokens for each request on average.",
            (
                Query(
                    f"{_kind('completion')} / {per_second('gateway_release_requests_total', RELEASE, 'route')}",
                    "{{route}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Masked values",
            "Personal data and keys that were masked on their way, by direction and kind.",
            (Query(per_second("gateway_masked_values_total", GATEWAY, "direction, data"), "{{direction}} {{data}}"),),
            "short",
        ),
    )


def _waits() -> tuple[Panel, ...]:
    return (
        Panel(
            "Time to first token",
            "Until the first byte; of a stream, until its first event, which engines send with the first token.",
            _spread("gateway_time_to_first_byte_seconds"),
            "s",
        ),
        Panel(
            "Time to first token p95 by route",
            "The same for each route.",
            (Query(quantile(0.95, "gateway_time_to_first_byte_seconds", RELEASE, "route"), "{{route}}"),),
            "s",
            links=(ROUTE_LINES,),
        ),
        Panel(
            "Inter-token latency",
            "Waits for a stream's next event, about a token each; the tail shows stalls that no mean shows.",
            _spread("gateway_inter_token_latency_seconds"),
            "s",
        ),
        Panel(
            "Inter-token latency p99 by route",
            "The same for each route.",
            (Query(quantile(0.99, "gateway_inter_token_latency_seconds", RELEASE, "route"), "{{route}}"),),
            "s",
            links=(ROUTE_LINES,),
        ),
        Panel(
            "Tokens per second of one stream",
            "How fast one reader sees text: the waits' count by their sum.",
            (
                Query(
                    f"sum by (route) (rate(gateway_inter_token_latency_seconds_count{{{RELEASE}}}[{WINDOW}]))"
                    f" / sum by (route) (rate(gateway_inter_token_latency_seconds_sum{{{RELEASE}}}[{WINDOW}]))",
                    "{{route}}",
                ),
            ),
            "short",
            links=(ROUTE_LINES,),
        ),
    )


def _kind(kind: str) -> str:
    return per_second("gateway_tokens_total", f'{RELEASE},kind="{kind}"', "route")


def _spread(family: str) -> tuple[Query, ...]:
    return tuple(Query(quantile(one, family, RELEASE), f"p{100 * one:g}") for one in _QUANTILES)
