"""Nexus Costs: what an environment costs by the hour, as Prometheus records it."""

from __future__ import annotations

from nexus_release.dashboards.board import ENVIRONMENT, Board, Panel, Query, Scope, per_second
from nexus_release.prices import HOURS_A_MONTH
from nexus_release.watching.cost_alerts import BY_ENVIRONMENT, BY_RELEASE, BY_TENANT

_HERE = f"{{{ENVIRONMENT}}}"
_WHOLE, _TENANTS = f"{BY_ENVIRONMENT}{_HERE}", f"{BY_TENANT}{_HERE}"


def costs_board(scope: Scope) -> Board:
    unit = f"currency{scope.currency}"
    return Board(
        "nexus-costs",
        "Nexus Costs",
        (
            Panel("Cost of an hour", "What is held now, used or not.", (Query(_WHOLE, "{{namespace}}"),), unit),
            Panel(
                "Cost of a month, as it is now",
                "The same for 730 hours, as budgets are held against it.",
                (Query(f"{_WHOLE} * {HOURS_A_MONTH}", "{{namespace}}"),),
                unit,
            ),
            Panel(
                "Cost of an hour by release",
                "Each InferenceService, whose name ends with its release's first 8 digits.",
                (Query(f"{BY_RELEASE}{_HERE}", "{{service}}"),),
                unit,
            ),
            Panel(
                "Cost of an hour by tenant",
                "A release's cost goes to whom it worked for, by weighted tokens.",
                (Query(_TENANTS, "{{tenant}}"),),
                unit,
            ),
            Panel(
                "Cost of an hour that made no token",
                "What was idle.",
                (
                    Query(
                        f"{_WHOLE} - (sum by (namespace) ({_TENANTS}) or {_WHOLE} * 0)",
                        "{{namespace}}",
                    ),
                ),
                unit,
            ),
            Panel(
                "Tokens by tenant",
                "Each second.",
                (Query(per_second("gateway_tenant_tokens_total", ENVIRONMENT, "tenant, kind"), "{{tenant}} {{kind}}"),),
                "short",
            ),
        ),
    )
