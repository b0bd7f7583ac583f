"""Which commit is to be looked at: every alert of a gateway names the configuration that is served."""

from __future__ import annotations

from nexus_release.watching.rules import Place, Record

LOADED = "nexus:gateway_revision_loaded_timestamp_seconds"
NEWEST = "nexus:gateway_revision:newest"
_REMEMBERED = "1d"  # a gateway that is gone tells nothing, and what it served last is the first suspect


def revision_records(gateway: str, place: Place) -> tuple[Record, ...]:
    """`gateway` chooses the gateways' series."""
    of_each = f"gateway_config_info{{{gateway}}} * on (namespace, job, instance) group_left ()"
    newest = f"topk(1, last_over_time({LOADED}{{{place.selector}}}[{_REMEMBERED}])) ^ 0"
    nothing_known = f'label_replace(vector(1), "namespace", "{place.namespace}", "", "")'
    return (
        Record(
            LOADED,
            f"max by (namespace, revision) ({of_each} gateway_config_loaded_timestamp_seconds{{{gateway}}})",
            "When each configuration that is served was loaded last.",
        ),
        Record(
            NEWEST,
            # Without the second part an alert would be lost to a gateway that never told its revision.
            f"{newest} or on (namespace) {nothing_known}",
            "1, with the revision that was loaded last, of the last day; without one where none is known.",
        ),
    )


def blaming(expression: str, place: Place) -> str:
    """The same with the label `revision`. The expression must keep `namespace`."""
    return f"({expression}) * on (namespace) group_left (revision) {NEWEST}{{{place.selector}}}"
