"""What a rule of Prometheus is here, and how it is written down for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nexus_release.manifests.objects import Object

Severity = Literal["critical", "warning", "none"]
"""`critical` wakes somebody up: callers are hurt now. `warning` waits for the morning. `none` is for machines."""


@dataclass(frozen=True)
class Record:
    name: str
    expression: str
    meaning: str
    """In one sentence."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    name: str
    expression: str
    lasting: str
    severity: Severity
    summary: str
    """What is the matter, with `{{ $labels.x }}` of what it is about."""
    description: str
    """The expression in one plain sentence."""
    about: tuple[str, ...] = ()
    """Labels that each alert has besides `environment`, `namespace` and `severity`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """More that are the same for all of the rule."""


Rule = Record | Alert


@dataclass(frozen=True)
class Group:
    """Rules that are worked out one after the other, and so see what those before them have recorded."""

    name: str
    title: str
    rules: Sequence[Rule]
    every: str = "30s"

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))

    @property
    def records(self) -> tuple[Record, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Record))


@dataclass(frozen=True)
class Place:
    """Whose rules they are."""

    environment: str
    namespace: str
    runbook: str

    @property
    def selector(self) -> str:
        """Labels of its series."""
        return f'namespace="{self.namespace}"'


def written(group: Group, place: Place) -> Object:
    """As Prometheus and its operator read it."""
    rules = [_alert(rule, place) if isinstance(rule, Alert) else _record(rule) for rule in group.rules]
    return {"name": f"nexus-{group.name}.{place.namespace}", "interval": group.every, "rules": rules}


def anchor(alert: str) -> str:
    """Of its heading in the runbook, as forges make it."""
    return alert.lower()


def _alert(rule: Alert, place: Place) -> Object:
    # Said here, since what is missing has no labels.
    labels = {
        "environment": place.environment,
        "namespace": place.namespace,
        "severity": rule.severity,
        **rule.labels,
    }
    summary = rule.summary
    for label, value in labels.items():  # a template sees the labels of the expression alone, not the rule's own
        summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": rule.lasting,
        "labels": labels,
        "annotations": {
            "summary": summary,
            "description": rule.description,
            "runbook_url": f"{place.runbook}#{anchor(rule.name)}",
        },
    }


def _record(rule: Record) -> Object:
    return {
        "record": rule.name,
        "expr": rule.expression,
        **({"labels": dict(rule.labels)} if rule.labels else {}),
    }
