"""The page of a whole release: how it ended, and what each step has found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_release.evidence.page import Facts, Heading, Page, Said, Table

_WORDS = {True: "accepted", False: "refused"}


def release_page(summary: Mapping[str, Any], timings: Sequence[Mapping[str, Any]]) -> Page:
    """From `summary.json` and `timings.json`, as `nexus summary` writes them."""
    asked, steps = summary["inputs"], summary["steps"]
    took = {one["step"]: f"{one['seconds']:.1f} s" for one in timings}
    rows = [(one["step"], _WORDS.get(one["out"].get("accepted"), "done"), took.get(one["step"], "")) for one in steps]
    outs = {one["step"]: one["out"] for one in steps}
    facts = [("model", asked["model"]), ("environment", asked["environment"]), ("dataset", asked["dataset"])]
    if "register" in outs:
        facts.append(("release", outs["register"]["release"]))
    if "propose" in outs:
        facts.append(("branch", outs["propose"]["branch"]))
        if outs["propose"].get("pull_request"):
            facts.append(("review", outs["propose"]["pull_request"]))
    return Page(
        title=f"Release of {asked['model']}",
        blocks=(
            Said(summary["outcome"] == "done", summary["outcome"], summary["reason"]),
            Facts(tuple(facts)),
            Heading("Steps"),
            Table(("step", "", "took"), tuple(rows)),
        ),
        amounts={"steps": float(len(steps))},
    )
