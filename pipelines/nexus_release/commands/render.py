"""`nexus render [ENV ...]`: writes `gitops/<env>/`, or checks that it is fresh."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("render", epilog="Example: nexus render staging prod --check")
@click.argument("environments", nargs=-1, metavar="[ENV]...")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path())
@click.option("--check", is_flag=True, help="Write nothing; end with 1 where anything would change.")
@click.option("--json", "as_json", is_flag=True, help="Print {environment: {path: new, changed or stale}}.")
@click.pass_context
def command(context: click.Context, environments: tuple[str, ...], root: Path, check: bool, as_json: bool) -> None:
    """Render each ENV, or all of them, from its settings, plans and records."""
    from nexus_release.config import environment_names
    from nexus_release.manifests.tree import compare, load_inputs, render, write

    rendered = {name: render(load_inputs(root, name)) for name in environments or environment_names(root)}
    changes = {name: compare(root, name, files) for name, files in rendered.items()}
    if not check:
        for name, files in rendered.items():
            write(root, name, files)
    if as_json:
        click.echo(json.dumps(changes, indent=2, sort_keys=True))
    else:
        for name, changed in changes.items():
            for path, change in changed.items():
                click.echo(f"{path}: {change}")
            if not changed:
                click.echo(f"gitops/{name}/: {len(rendered[name])} files, unchanged")
    if check and any(changes.values()):
        click.echo("gitops/ does not follow from its sources: run `nexus render` and commit", err=True)
        context.exit(1)
