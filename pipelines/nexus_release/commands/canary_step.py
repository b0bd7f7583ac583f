"""`nexus canary step MODEL`: the canary goes on, goes back or waits, by what the gateways have measured."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from nexus_release.commands import arguments
from nexus_release.commands.change import open_tools
from nexus_release.terminal import plain

if TYPE_CHECKING:
    from nexus_release.canary.step import Stepped


@click.command("step", epilog="Example: nexus canary step pydoc-chat --env prod")
@arguments.of_model
@arguments.in_environment
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--dry-run", is_flag=True, help="Decide, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print evidence and outcome as JSON.")
def command(model: str, environment: str, remote: str | None, dry_run: bool, as_json: bool) -> None:
    """Hold the canary of MODEL against its stable release, and commit the next weight, the return to 0, or nothing.

    Figures are asked of NEXUS_PROMETHEUS, else of every gateway that NEXUS_GATEWAY names, else of this machine's own.
    Ends with 0 whatever is decided, and with 1 where no figures are there: the weight stays then, until the deadline.
    """
    from datetime import UTC, datetime

    from nexus_release.canary.step import NothingToDo, step
    from nexus_release.wiring import open_figures

    tools = open_tools(remote)
    try:
        stepped = step(
            tools.repository, lambda: open_figures(os.environ, tools.work), environment, model,
            datetime.now(UTC), dry=dry_run,
        )  # fmt: skip
    except NothingToDo as nothing:
        told: dict[str, Any] = {"decision": {"action": "hold", "reason": str(nothing)}}
        click.echo(json.dumps(told, indent=2) if as_json else plain(str(nothing)))
        return
    click.echo(json.dumps(_told(stepped), indent=2) if as_json else plain(_text(stepped)))


def _told(stepped: Stepped) -> dict[str, Any]:
    landed = stepped.landed
    made = {"branch": landed.branch, "commits": list(landed.commits), "landed": landed.landed} if landed else {}
    return {
        **stepped.evidence.model_dump(mode="json", exclude={"blocks"}),
        "evidence": stepped.path if landed and landed.commits else None,
        **made,
    }


def _text(stepped: Stepped) -> str:
    evidence, landed = stepped.evidence, stepped.landed
    requests = {arm: sum(getattr(block, arm).requests for block in evidence.blocks) for arm in ("stable", "canary")}
    lines = [
        f"{evidence.model}: {evidence.decision.action}: {evidence.decision.reason}",
        f"weight     {evidence.weight} % since {evidence.moments.since}, {requests['canary']} requests of the canary, "
        f"{requests['stable']} of the stable release",
        *(f"{one.metric:<10} evidence {one.evidence}, goes back at {one.threshold}" for one in evidence.tests),
        *(f"{arm:<10} {cost.per_million_tokens} for a million tokens" for arm, cost in evidence.cost.items()),
        *(f"note       {note}" for note in evidence.notes),
    ]
    if landed and not landed.commits:
        lines.append("somebody else has changed the plan meanwhile: nothing is committed")
    elif landed:
        where = "" if landed.landed else f"\nbranch     {landed.branch} waits for review"
        lines.append(f"evidence   {stepped.path}\ncommit     {landed.commits[-1]}{where}")
    return "\n".join(lines)
