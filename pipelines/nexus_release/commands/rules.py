"""`nexus rules NAME`: what a Prometheus without the operator loads."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_release.commands import arguments


@click.command("rules", epilog="Example: nexus rules gateway --env prod > rules/gateway.yaml")
@click.argument("name", required=False)
@arguments.in_environment
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(), help="The repository."
)
@click.option("--page", "as_page", is_flag=True, help="Print all of them as Markdown, for people.")
def command(name: str | None, environment: str, root: Path, as_page: bool) -> None:
    """Print the rules of a group as a file for Prometheus: gateway, slo, canary, engines, costs or logs.

    The series must have the labels that they have in a cluster: job and namespace (ops/prometheus/prometheus.yml).
    """
    from nexus_release.config import load_settings
    from nexus_release.documents import yaml_text
    from nexus_release.errors import BadInput
    from nexus_release.watching.groups import NAMES, groups, place_of
    from nexus_release.watching.page import page
    from nexus_release.watching.rules import written

    settings = load_settings(root, environment)
    found = groups(environment, settings)
    if as_page:
        click.echo(page(environment, found.values()), nl=False)
    elif name in found:
        click.echo(yaml_text({"groups": [written(found[name], place_of(environment, settings))]}), nl=False)
    else:
        raise BadInput("NAME", name, f"one of {', '.join(NAMES)}, or --page")
