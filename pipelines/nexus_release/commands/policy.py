"""`nexus policy`: may these objects be committed?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from nexus_terminal.progress import Progress


@click.command("policy", epilog="Example: nexus policy --json")
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(), help="The repository."
)
@click.option("--rules", "tell", is_flag=True, help="Print the rules as Markdown, and look at nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print [{rule, where, fault}].")
@click.pass_context
def command(context: click.Context, root: Path, tell: bool, as_json: bool) -> None:
    """Hold every Kubernetes object under gitops/ to the rules. Ends with 1 where one is broken. Closed: in CI a folder
    that cannot be built, for want of kustomize too, is a fault."""
    from nexus_release.config import environment_names
    from nexus_release.errors import Missing, NexusError
    from nexus_release.object_rules.built import built_folders, built_objects, kustomize_command, rendered_objects
    from nexus_release.object_rules.findings import findings
    from nexus_release.object_rules.page import page
    from nexus_release.terminal import plain_line

    if tell:
        click.echo(page(), nl=False)
        return
    objects = [one for name in environment_names(root) for one in rendered_objects(root, name)]
    if not objects and not built_folders(root):
        raise Missing("gitops/: no rendered object is here; run this in a checkout, or give --root")
    build = kustomize_command()
    if build is not None:
        with Progress("kustomize builds every folder"):
            objects += built_objects(root, build)
    elif built_folders(root):
        if os.environ.get("CI") == "true":
            raise NexusError("neither kustomize nor kubectl is here: run `make services`")
        click.echo(
            f"not looked at, for want of kustomize (`make services`): {', '.join(built_folders(root))}", err=True
        )
    found = findings(objects)
    if as_json:
        click.echo(json.dumps([vars(one) for one in found], indent=2))
    else:
        for one in found:
            click.echo(plain_line(str(one)))
        if not found:
            click.echo(f"{len(objects)} objects keep every rule")
    if found:
        context.exit(1)
