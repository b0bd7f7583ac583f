"""`nexus status`: Git, this machine and the registry side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nexus_release.terminal import plain, plain_line

if TYPE_CHECKING:
    from nexus_release.local.status import Report


@click.command("status", epilog="Example: nexus status --json")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(as_json: bool) -> None:
    """Show what Git says, what runs here, and where they disagree. Ends with 1 where anything disagrees."""
    import json
    import os

    from nexus_release.local.control import running
    from nexus_release.local.paths import state_folder
    from nexus_release.local.status import disagreements, observe
    from nexus_release.wiring import Connections, Tools

    home = state_folder(os.environ)
    connections = Connections.from_environment(state=home)
    if state := running(home):
        connections = connections.model_copy(update={"registry": state.registry, "remote": state.remote})
    report = observe(home, Tools(connections))
    found = disagreements(report)
    if as_json:
        click.echo(json.dumps({**report.model_dump(mode="json"), "disagreements": found}, indent=2))
    else:
        _show(report, found)
    if found:
        raise click.exceptions.Exit(1)


def _show(report: Report, found: list[str]) -> None:
    lines = [
        f"remote     {report.remote}",
        f"  main     {report.head or '(cannot be read)'}",
        f"  applied  {report.applied or '(nothing)'}",
        f"gateway    {report.gateway or '(down)'}",
        f"  serves   {report.revision or '(nothing)'}",
        f"registry   {report.registry}",
    ]
    lines += [
        f"  {alias.model}@{alias.alias}: version {alias.points_at} (Git: {alias.version})" for alias in report.aliases
    ]
    lines += ["engines"] if report.engines else []
    lines += [
        f"  {engine.service}  {engine.address}  release {engine.release[:12]}  {'ready' if engine.serves else 'silent'}"
        for engine in report.engines
    ]
    click.echo(plain("\n".join(lines)))
    for sentence in found:
        click.secho(f"- {plain_line(sentence)}", fg="red", err=True)
