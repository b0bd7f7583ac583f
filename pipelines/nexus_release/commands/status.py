"""`nexus status`: for each environment Git, what was applied, what is served and the registry side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_release.commands import arguments
from nexus_release.terminal import plain, plain_line

if TYPE_CHECKING:
    from nexus_release.convergence.status import EnvironmentStatus


@click.command(
    "status", epilog="Example: nexus status --env prod --json  ·  nexus status --all --gateways gateways.yaml"
)
@arguments.in_environment
@click.option("--all", "everything", is_flag=True, help="Every environment of main.")
@arguments.gateways
@click.option("--engines", is_flag=True, help="Ask each engine too; they must be reachable from here.")
@click.option("--strict", is_flag=True, help="End with 1 also where somebody could not be asked.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    environment: str, everything: bool, gateways: Path | None, engines: bool, strict: bool, as_json: bool
) -> None:
    """Show what Git says, what was applied, what each replica of the gateway serves, where the registry's aliases
    point, and where they disagree.

    Ends with 1 where anything disagrees. Whom nobody has named (NEXUS_GATEWAY or --gateways, ARGOCD_SERVER,
    MLFLOW_TRACKING_URI) is told as unknown. The environment `local` is this machine, which needs none of them.
    """
    import json
    import os

    from nexus_release.convergence.places import here, open_places
    from nexus_release.convergence.status import disagreements, observe
    from nexus_release.verify import environments_of
    from nexus_release.wiring import Tools

    tools = Tools(here(os.environ))
    seen: list[EnvironmentStatus] = []
    with tools.repository.history() as history:
        for name in environments_of(history) if everything else (environment,):
            places = open_places(os.environ, tools, name, gateways, alone=not everything, engines=engines)
            seen.append(observe(history, name, places))
    wrong = [sentence for one in seen for sentence in disagreements(one)]
    unknown = [sentence for one in seen for sentence in one.unknown]
    if as_json:
        told = {
            "environments": [one.model_dump(mode="json") for one in seen],
            "disagreements": wrong,
            "unknown": unknown,
        }
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(plain("\n\n".join("\n".join(_lines(one)) for one in seen)))
        for sentence in unknown:
            click.echo(f"? {plain_line(sentence)}", err=True)
        for sentence in wrong:
            click.secho(f"- {plain_line(sentence)}", fg="red", err=True)
    if wrong or (strict and unknown):
        raise click.exceptions.Exit(1)


def _lines(seen: EnvironmentStatus) -> list[str]:
    lines = [
        f"{seen.environment}",
        f"  main      {seen.main}, which changed this environment last by {seen.commit[:12] or '(nothing)'}",
        f"  revision  {seen.revision or '(main has no routes)'}",
    ]
    lines += [f"  applied   {part.commit[:12] or '(nothing)'}  {part.folder}  {part.by}" for part in seen.applied]
    for replica in seen.replicas:
        served = [f"{replica.address}  worker {one.pid}  {_revision(seen, one.revision)}" for one in replica.workers]
        lines += [f"  gateway   {line}" for line in served or [f"{replica.address}  (silent)"]]
    lines += [
        f"  engine    {one.service}  release {one.release[:12]}  {'ready' if one.answers else 'silent'}"
        for one in seen.engines
    ]
    return lines + [
        f"  alias     {one.model}@{one.alias}: version {one.points_at} (Git: {one.version})" for one in seen.aliases
    ]


def _revision(seen: EnvironmentStatus, revision: str) -> str:
    commit = seen.commits.get(revision, "")
    return f"revision {revision[:12] or '(none)'} of {commit[:12] if commit else 'no commit of main'}"
