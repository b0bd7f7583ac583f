"""docs/reference/alerts.md: every rule, its expression in one sentence, and where to read on."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_release.watching.rules import Alert, Group, anchor

_HEAD = """\
# Alerts and recorded series

Made by `nexus rules --page` from `pipelines/nexus_release/watching/`; do not edit.

As the environment `{environment}` has them; bounds follow from each environment's settings. Every alert has the labels
`environment`, `namespace` and `severity`, and of those listed what its series have; `revision` is the configuration
that the gateways loaded last, and `nexus explain` finds its commit. What to do is in [runbook.md](runbook.md), what is
promised in [slo.md](slo.md). `critical` wakes somebody up, `warning` waits for the morning, `none` is
heard by a machine alone.
"""


def page(environment: str, groups: Iterable[Group]) -> str:
    return "\n".join((_HEAD.format(environment=environment), *(_group(group) for group in groups)))


def _group(group: Group) -> str:
    parts = [f"## {group.title}\n\nLooked at every {group.every}.\n"]
    if group.alerts:
        parts.append(_table("| alert | severity | labels | meaning |", [_alert(alert) for alert in group.alerts]))
    if group.records:
        rows = [f"| `{record.name}` | {record.meaning} |" for record in group.records]
        parts.append(_table("| series | meaning |", rows))
    return "\n".join(parts)


def _alert(alert: Alert) -> str:
    labels = ", ".join(f"`{label}`" for label in alert.about)
    window = "".join(f" ({said})" for said in alert.labels.values())
    link = f"[{alert.name}](runbook.md#{anchor(alert.name)}){window}"
    return f"| {link} | {alert.severity} | {labels} | {alert.description} |"


def _table(head: str, rows: list[str]) -> str:
    line = "| " + " | ".join("---" for _ in range(head.count("|") - 1)) + " |"
    return "\n".join((head, line, *rows, ""))
