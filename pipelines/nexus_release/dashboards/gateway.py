"""Nexus Gateway: the first look. Its first nine panels are those that everybody knows by name."""

from __future__ import annotations

from nexus_release.dashboards.board import GATEWAY, WINDOW, Board, Panel, Query, Scope, per_second, quantile, share
from nexus_release.dashboards.links import UPSTREAM_LINES, discover, kibana_dashboard, revision_commits

_ALL = per_second("gateway_requests_total", GATEWAY)
_FAILED = per_second("gateway_requests_total", f'{GATEWAY},status=~"5.."')
_REFUSED = "configuration refused; the last good one serves"  # as the gateway's log has it
_UPSTREAM_FAILED = f'{GATEWAY},status=~"5..|error"'


def gateway_board(scope: Scope) -> Board:
    return Board(
        "nexus-gateway",
        "Nexus Gateway",
        (*_seen_by_callers(), *_behind_it(), *_within(scope)),
        links=(kibana_dashboard(), discover("Log lines", "message:request")),
    )


def _seen_by_callers() -> tuple[Panel, ...]:
    return (
        Panel(
            "Requests per second",
            "Requests that have ended, by the API's path.",
            (Query(per_second("gateway_requests_total", GATEWAY, "path"), "{{path}}"),),
            "reqps",
            links=(discover("Log lines of the path", 'path:"${__field.labels.path}"'),),
        ),
        Panel(
            "5xx error rate",
            "Share of requests that end in a fault of ours.",
            (Query(share(_FAILED, _ALL), "5xx"),),
            "percentunit",
            links=(discover("Log lines of errors", "status>=500"),),
        ),
        Panel(
            "Request latency p95",
            "Whole requests: a long answer takes long. Nexus Tokens has the first token.",
            (Query(quantile(0.95, "gateway_request_latency_seconds", GATEWAY), "p95"),),
            "s",
            links=(discover("Log lines of slow requests", "duration_ms>=10000"),),
        ),
    )


def _behind_it() -> tuple[Panel, ...]:
    return (
        Panel(
            "Upstream latency p95",
            "Whole calls of engines.",
            (Query(quantile(0.95, "gateway_upstream_latency_seconds", GATEWAY, "upstream"), "{{upstream}}"),),
            "s",
            links=(UPSTREAM_LINES,),
        ),
        Panel(
            "Upstream errors",
            "Calls of engines that failed or got a status of 5xx; another engine may have answered.",
            (Query(per_second("gateway_upstream_requests_total", _UPSTREAM_FAILED, "upstream"), "{{upstream}}"),),
            "reqps",
            links=(UPSTREAM_LINES,),
        ),
        Panel(
            "Rate limited requests",
            "Requests over their caller's limit.",
            (Query(per_second("gateway_rate_limited_total", GATEWAY), "limited"),),
            "reqps",
            links=(discover("Log lines of refused requests", "status:429"),),
        ),
        Panel(
            "Circuit open",
            "Circuits that opened: endpoints that are left alone for a while.",
            (Query(f"sum by (upstream) (increase(gateway_circuit_open_total{{{GATEWAY}}}[5m]))", "{{upstream}}"),),
            "short",
            links=(UPSTREAM_LINES,),
        ),
        Panel(
            "Fallback usage",
            "Answers by another model than was asked for.",
            (
                Query(
                    per_second("gateway_fallback_used_total", GATEWAY, "from_model, to_model"),
                    "{{from_model}} by {{to_model}}",
                ),
            ),
            "reqps",
            links=(discover("Log lines of its answers", 'fallback_model:"${__field.labels.to_model}"'),),
        ),
        Panel(
            "In-flight requests",
            "Requests under way.",
            (Query(f"sum(gateway_in_flight_requests{{{GATEWAY}}})", "in flight"),),
            "short",
        ),
    )


def _within(scope: Scope) -> tuple[Panel, ...]:
    return (
        Panel(
            "Configuration served",
            "How many processes serve each revision: more than one revision for long is a fault.",
            (Query(f"count by (namespace, revision) (gateway_config_info{{{GATEWAY}}})", "{{revision}}"),),
            "short",
            links=(
                revision_commits(scope),
                discover("Log lines of the revision", 'revision:"${__field.labels.revision}"'),
            ),
        ),
        Panel(
            "Configuration refused",
            "1 while a gateway refuses what its files say, and serves what they said before.",
            (Query(f"max by (namespace, instance) (gateway_config_refused{{{GATEWAY}}})", "{{instance}}"),),
            "bool",
            links=(discover("Log lines of the refusal", f'message:"{_REFUSED}"'),),
        ),
        Panel(
            "Loop lag",
            "How late a gateway's loop was at worst between two scrapes: above half a second all its requests wait.",
            (Query(f"max by (namespace, instance) (gateway_loop_lag_seconds{{{GATEWAY}}})", "{{instance}}"),),
            "s",
        ),
        Panel(
            "Refused by limit",
            "The rate-limited requests by which limit it was.",
            (Query(per_second("gateway_limit_refusals_total", GATEWAY, "limit"), "{{limit}}"),),
            "reqps",
        ),
        Panel(
            "Retries",
            "Second and later engines asked, by what the one before failed of.",
            (Query(per_second("gateway_retries_total", GATEWAY, "reason"), "{{reason}}"),),
            "reqps",
        ),
        Panel(
            "Circuits",
            "Of each endpoint: 0 closed, 1 half open, 2 open.",
            (Query(f"max by (upstream, endpoint) (gateway_circuit_state{{{GATEWAY}}})", "{{upstream}} {{endpoint}}"),),
            "short",
            links=(UPSTREAM_LINES,),
        ),
        Panel(
            "Waiting for room",
            "Requests that wait at the gateways, by the upstream that they wait for.",
            (Query(f"sum by (upstream) (gateway_queue_depth{{{GATEWAY}}})", "{{upstream}}"),),
            "short",
        ),
        Panel(
            "Calls for one request",
            "Engines that were asked on average; above 1 work is done twice.",
            (
                Query(
                    f"sum(rate(gateway_upstream_tries_sum{{{GATEWAY}}}[{WINDOW}]))"
                    f" / sum(rate(gateway_upstream_tries_count{{{GATEWAY}}}[{WINDOW}]))",
                    "calls",
                ),
            ),
            "short",
        ),
        Panel(
            "Lines lost",
            "Lines of the request, audit and decision logs, and spans, that nobody took.",
            tuple(
                Query(f"sum(rate(gateway_{what}_dropped_total{{{GATEWAY}}}[{WINDOW}]))", what.replace("_", " "))
                for what in ("log_lines", "audit_lines", "decision_lines", "spans")
            ),
            "short",
        ),
    )
