"""Nexus Releases, which compares those that answer, and Nexus Canaries: the same by what a split has drawn.

Of all requests a release that another one has covered up for looks well; of the drawn ones it does not.
"""

from __future__ import annotations

from nexus_release.dashboards.board import (
    RELEASE,
    RELEASES,
    ROUTE,
    ROUTES,
    WINDOW,
    Board,
    Link,
    Panel,
    Query,
    Scope,
    per_second,
    quantile,
    share,
)
from nexus_release.dashboards.links import RELEASE_LINES, discover, kibana_dashboard, release_commit

_CHOSEN = 'release:"${__field.labels.release}"'
_BY = "route, release"
_LEGEND = "{{route}} {{release}}"


def releases_board(scope: Scope) -> Board:
    links = _of_a_release(scope)
    requests = per_second("gateway_release_requests_total", RELEASE, _BY)
    failed = per_second("gateway_release_requests_total", f'{RELEASE},status=~"5.."', _BY)
    return Board(
        "nexus-releases",
        "Nexus Releases",
        (
            Panel("Requests", "Requests that each release has ended.", _by_release(requests), "reqps", links=links),
            Panel(
                "Error rate",
                "Share of them that ended with a status of 5xx.",
                _by_release(share(failed, requests)),
                "percentunit",
                links=(*links, discover("Its log lines of errors", f"{_CHOSEN} and status>=500")),
            ),
            Panel(
                "Time to first token p95",
                "Until the first byte, or a stream's first event.",
                _by_release(quantile(0.95, "gateway_time_to_first_byte_seconds", RELEASE, _BY)),
                "s",
                links=links,
            ),
            Panel(
                "Inter-token latency p99",
                "Waits for a stream's next event.",
                _by_release(quantile(0.99, "gateway_inter_token_latency_seconds", RELEASE, _BY)),
                "s",
                links=links,
            ),
            Panel(
                "Completion tokens per second",
                "By the engines' account.",
                _by_release(per_second("gateway_tokens_total", f'{RELEASE},kind="completion"', _BY)),
                "short",
                links=links,
            ),
            Panel(
                "Requests by status",
                "As the client got it; 499 where it had gone.",
                (
                    Query(
                        per_second("gateway_release_requests_total", RELEASE, f"{_BY}, status"),
                        f"{_LEGEND} {{{{status}}}}",
                    ),
                ),
                "reqps",
                links=links,
            ),
        ),
        (ROUTES, RELEASES),
        (kibana_dashboard(),),
    )


def canaries_board(scope: Scope) -> Board:
    links = _of_a_release(scope)
    drawn = per_second("gateway_drawn_requests_total", RELEASE, _BY)
    failed = per_second("gateway_drawn_requests_total", f'{RELEASE},call=~"5..|429|error|uncalled"', _BY)
    of_route = per_second("gateway_drawn_requests_total", RELEASE, "route")
    return Board(
        "nexus-canaries",
        "Nexus Canaries",
        (
            Panel(
                "Drawn requests", "Requests that a split gave each release.", _by_release(drawn), "reqps", links=links
            ),
            Panel(
                "Share of the route",
                "What the split gives each release: a canary's weight, as it really is.",
                _by_release(f"{drawn} / on (route) group_left () {of_route}"),
                "percentunit",
                links=links,
            ),
            Panel(
                "Failed calls",
                "Share of its drawn requests that a release failed, whoever answered in the end.",
                _by_release(share(failed, drawn)),
                "percentunit",
                links=links,
            ),
            Panel(
                "First byte p95",
                "From the release's call to the first byte or event.",
                _by_release(quantile(0.95, "gateway_drawn_first_byte_seconds", RELEASE, _BY)),
                "s",
                links=links,
            ),
            Panel(
                "Whole call p95",
                "From the release's call to the answer's end.",
                _by_release(quantile(0.95, "gateway_drawn_call_seconds", RELEASE, _BY)),
                "s",
                links=links,
            ),
            Panel(
                "Inter-token latency p95",
                "Of the streams' mean waits: one figure for each stream.",
                _by_release(quantile(0.95, "gateway_drawn_inter_token_seconds", RELEASE, _BY)),
                "s",
                links=links,
            ),
            Panel(
                "Tokens of an answer",
                "On average: a canary that says much less, or much more, is another model.",
                _by_release(
                    f"sum by ({_BY}) (rate(gateway_drawn_answer_tokens_sum{{{RELEASE}}}[{WINDOW}]))"
                    f" / sum by ({_BY}) (rate(gateway_drawn_answer_tokens_count{{{RELEASE}}}[{WINDOW}]))"
                ),
                "short",
                links=links,
            ),
            Panel(
                "Endings",
                "Why answers ended: more of `length` or `content_filter` is a change of behaviour.",
                (
                    Query(
                        per_second("gateway_drawn_endings_total", RELEASE, f"{_BY}, ending"),
                        f"{_LEGEND} {{{{ending}}}}",
                    ),
                ),
                "reqps",
                links=links,
            ),
            Panel(
                "Copies of requests",
                "What a shadow was given to try on live traffic, by the status that it answered.",
                (
                    Query(
                        per_second("gateway_shadow_requests_total", ROUTE, "route, upstream, status"),
                        "{{route}} {{upstream}} {{status}}",
                    ),
                ),
                "reqps",
            ),
        ),
        (ROUTES, RELEASES),
        (kibana_dashboard(),),
    )


def _of_a_release(scope: Scope) -> tuple[Link, ...]:
    return (release_commit(scope), RELEASE_LINES)


def _by_release(expression: str) -> tuple[Query, ...]:
    return (Query(expression, _LEGEND),)
