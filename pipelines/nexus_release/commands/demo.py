"""`nexus demo`: the whole story on one machine."""

from __future__ import annotations

import logging
from pathlib import Path

import click


@click.command("demo", epilog="Example: nexus demo --stay")
@click.option("--stay", is_flag=True, help="Leave gateway, registry and engines up; `nexus down` stops them.")
@click.option("--short", is_flag=True, help="Train less and ask less: the form that tests run.")
@click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False, exists=True), default=Path(), help="The checkout."
)
def command(stay: bool, short: bool, root: Path) -> None:
    """From a dataset to an answer that names its commit, then a canary, a promotion and a rollback.

    All state is under .nexus/. A demo that was cut off goes on where it was; a second one reuses what is unchanged.
    """
    from nexus_release.demo.narrator import Narrator
    from nexus_release.demo.stage import full_scale, open_stage, short_scale
    from nexus_release.demo.story import tell

    logging.basicConfig(level=logging.WARNING, format="     %(message)s")
    logging.getLogger("nexus").setLevel(logging.INFO)
    scale = short_scale() if short else full_scale()
    with open_stage(root.absolute(), scale, stay=stay) as stage:
        say = Narrator(stage.state / "demo.md")
        tell(stage, say)
        say.end(stage.addresses() if stay else [])
