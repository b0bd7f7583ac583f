"""`nexus cost`: what each model, release and tenant has cost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from nexus_release.commands import arguments
from nexus_release.commands.change import open_tools

if TYPE_CHECKING:
    from nexus_release.costs.report import CostReport
    from nexus_release.monitoring.windows import Window


@click.command("cost", epilog="Example: nexus cost --env prod --hours 720 --prometheus http://127.0.0.1:9090")
@arguments.in_environment
@click.option("--from", "since", metavar="TIME", help="Begin, as 2026-11-01T00:00:00Z [default: --hours before].")
@click.option("--to", "until", metavar="TIME", help="End [default: of the last whole slot].")
@click.option(
    "--hours", type=click.IntRange(1, 24 * 366), default=24, show_default=True, help="Length, without --from."
)
@click.option("--slot-minutes", type=click.IntRange(1, 1440), default=15, show_default=True, help="Within a slot the "
    "cost is shared by tokens; one without a token is idle.",
)  # fmt: skip
@click.option("--prometheus", metavar="URL", help="Who has scraped the cluster [default: NEXUS_PROMETHEUS].")
@click.option(
    "--audit", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the gateways' audit logs, where there is no Prometheus; machines are then those of the plans.",
)  # fmt: skip
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "csv"]),
    default="text",
    show_default=True,
    help="Of what is printed.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
def command(
    environment: str,
    since: str | None,
    until: str | None,
    hours: int,
    slot_minutes: int,
    prometheus: str | None,
    audit: Path | None,
    remote: str | None,
    root: Path,
    form: Literal["text", "json", "markdown", "csv"],
) -> None:
    """Tell what an environment has cost, by model, release and tenant, at the prices of its settings in --root.

    Tenants' costs and what was idle are together what was allocated, to the last digit. Nothing is asked of a cluster:
    pods are known by Prometheus, or by the plans of main.
    """
    from nexus_release.config import load_settings
    from nexus_release.costs.report import report
    from nexus_release.costs.usage import Usage, slots_of
    from nexus_release.wiring import machines_and_tokens

    settings = load_settings(root, environment)
    window = _window(since, until, hours, slot_minutes)
    address = prometheus or os.environ.get("NEXUS_PROMETHEUS", "")
    slots = slots_of(window, slot_minutes * 60)
    machines, tokens = machines_and_tokens(
        address, audit, environment, settings.namespace, open_tools(remote).repository
    )
    (held, of_machines), (made, of_tokens) = machines.held(slots), tokens.made(slots)
    usage = Usage(held, made, (of_machines, of_tokens))
    click.echo(_written(report(environment, settings, window, slot_minutes, usage), form), nl=form == "text")


def _window(since: str | None, until: str | None, hours: int, slot_minutes: int) -> Window:
    """In whole slots. Raises BadInput."""
    from datetime import UTC, datetime, timedelta

    from nexus_release.documents import validated
    from nexus_release.monitoring.windows import Window, parsed, written

    length = timedelta(minutes=slot_minutes)
    now = datetime.now(UTC)
    end = parsed("--to", until) if until else now - (now - datetime.fromtimestamp(0, UTC)) % length
    begin = parsed("--from", since) if since else end - timedelta(hours=hours)
    begin -= (begin - datetime.fromtimestamp(0, UTC)) % length
    end += (datetime.fromtimestamp(0, UTC) - end) % length
    return validated(Window, {"since": written(begin), "until": written(end)}, lambda _: "--from")


def _written(found: CostReport, form: str) -> str:
    from nexus_release.costs import forms

    if form == "json":
        return found.model_dump_json(indent=2) + "\n"
    return {"text": forms.text, "markdown": forms.markdown, "csv": forms.comma_separated}[form](found)
