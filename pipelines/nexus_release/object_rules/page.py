"""The rules as a page of the documentation, made from their table."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_release.object_rules.exemptions import EXEMPTIONS
from nexus_release.object_rules.rule import FolderRule, Rule
from nexus_release.object_rules.rules import RULES
from nexus_release.object_rules.together import FOLDER_RULES
from nexus_release.object_rules.traps import TRAPS

_HEAD = """# Rules for Kubernetes objects

Made by `nexus policy --rules`; do not edit.

`nexus policy`, and so `make check`, holds every object under `gitops/` to these: those of the environments as they
stand, those of `argocd`, `overlays` and `platform` as kustomize builds them. The rules are in
`pipelines/nexus_release/object_rules/`.
"""


def page() -> str:
    return "\n".join(
        (
            _HEAD,
            *_table("Each object", "what happens where it is broken", RULES),
            *_table("Objects that belong together", "what happens where it is broken", FOLDER_RULES),
            *_table("Traps of upstream", "what a cluster makes of it", TRAPS),
            "## Exemptions",
            "",
            "| rule | where | why |",
            "| --- | --- | --- |",
            *(f"| `{one.rule}` | `{one.where}` | {one.reason} |" for one in EXEMPTIONS),
            "",
        )
    )


def _table(title: str, column: str, rules: Iterable[Rule | FolderRule]) -> tuple[str, ...]:
    rows = (f"| `{rule.name}` | {rule.why} |" for rule in rules)
    return (f"## {title}", "", f"| rule | {column} |", "| --- | --- |", *rows, "")
