"""`nexus render [ENV ...]`: writes `gitops/<env>/`, or checks that it is fresh."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nexus_release.commands import arguments
from nexus_release.terminal import plain_line


@click.command("render", epilog="Example: nexus render staging prod --check")
@click.argument("environments", nargs=-1, metavar="[ENV]...", callback=arguments.environments)
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(), help="The repository."
)
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where anything would change or hides a value.")
@click.option("--json", "as_json", is_flag=True, help="Print {environment: {path: new, changed or stale}}.")
@click.pass_context
def command(context: click.Context, environments: tuple[str, ...], root: Path, check: bool, as_json: bool) -> None:
    """Render each ENV, or all of them and gitops/overlays/, from its settings, plans and records."""
    from nexus_release.config import environment_names
    from nexus_release.documents import yaml_faults
    from nexus_release.manifests.overlays import OVERLAYS, overlays
    from nexus_release.manifests.tree import compare, load_inputs, render, write
    from nexus_release.manifests.unbuilt import unbuilt

    inputs = {name: load_inputs(root, name) for name in environments or environment_names(root)}
    rendered = {name: render(found) for name, found in inputs.items()}
    if not environments:
        rendered[OVERLAYS] = overlays(root)
    changes = {name: compare(root, name, files) for name, files in rendered.items()}
    if not check:
        for name, files in rendered.items():
            write(root, name, files)
    if as_json:
        click.echo(json.dumps(changes, indent=2, sort_keys=True))
    else:
        for name, changed in changes.items():
            for path, change in changed.items():
                click.echo(f"{plain_line(path)}: {change}")
            if not changed:
                click.echo(f"gitops/{name}/: {len(rendered[name])} files, unchanged")
        for name, found in inputs.items():
            for lack in unbuilt(found.settings):
                click.echo(f"gitops/{name}/: {lack}")
    if check:
        faults = tuple(yaml_faults(root, "gitops"))
        for fault in faults:
            click.echo(fault, err=True)
        if any(changes.values()):
            click.echo("gitops/ does not follow from its sources: run `nexus render` and commit", err=True)
        if faults or any(changes.values()):
            context.exit(1)
