"""`nexus check-pr`: what a pull request claims, proved from Git."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nexus_terminal.progress import Progress

_BRANCH = ["NEXUS_PR_BRANCH", "GITHUB_HEAD_REF", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"]


@click.command("check-pr", epilog="Example: nexus check-pr --base origin/main --head HEAD")
@click.option("--base", default="origin/main", show_default=True, envvar="BASE", help="Main, as the checkout knows it.")
@click.option("--head", default="HEAD", show_default=True, envvar="HEAD", help="The branch's newest commit.")
@click.option("--branch", default="", envvar=_BRANCH, help="Its name, by which the forge is asked who has agreed.")
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(), help="The repository."
)
@click.option("--strict", is_flag=True, help="End with 1 also where something cannot be proved here.")
@click.option("--json", "as_json", is_flag=True, help="Print every proof as JSON.")
def command(base: str, head: str, branch: str, root: Path, strict: bool, as_json: bool) -> None:
    """Merge --head into --base in a folder that is gone afterwards, and prove what would then be main. Ends with 1 and
    every fault. Needs Git and the checkout with its whole history; signatures need the store too, at NEXUS_WORK.
    """
    from nexus_release.promotion.proofs import prove
    from nexus_release.terminal import plain
    from nexus_release.wiring import Connections, Tools, merged_pull

    tools = Tools(Connections.from_environment())

    with Progress("the branch is merged and proved"), merged_pull(root, base, head) as pull:

        def reviews() -> frozenset[str] | None:
            return tools.forge.approvals(branch, pull.head) if branch and tools.forge else None

        kind, proofs = prove(pull, tools.store, tools.signatures, reviews)
    if as_json:
        click.echo(json.dumps({"kind": kind, "proofs": [one.model_dump() for one in proofs]}, indent=2))
    else:
        click.echo(f"a change of {kind}: {pull.base[:12]} <- {pull.head[:12]}, {len(pull.modes)} files")
        for one in proofs:
            click.echo(plain(f"{one.state:8}  {one.name:14}  " + f"\n{'':26}".join(one.said)))
    if any(one.state == "lies" or (strict and one.state == "unproved") for one in proofs):
        raise click.exceptions.Exit(1)
